"""Simulated logs of a small world whose values can be added up by hand."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from graphmeta.data import from_frame, planted_interactions, split_cold_users
from graphmeta.experiments.off_policy import (
    K,
    World,
    simulate_off_policy,
    standardized,
    wanted_by,
    world_of,
)
from graphmeta.ranking.baselines import ItemKNN

SMALL = World(
    wanted=np.array([[True, False, False], [False, True, True]]),
    target=np.array([[0.8, 0.2, 0.0], [0.2, 0.4, 0.4]]),
    logging={"alike": np.full((2, 3), 1 / 3)},
    predicted=np.array([[0.5, 0.1, 0.1], [0.1, 0.5, 0.5]]),
)


def test_the_truth_by_hand() -> None:
    assert SMALL.value == pytest.approx((0.8 + 0.8) / 2)
    # Squared weights 3 (.64 + .04) and 3 (.04 + .16 + .16), mean 1.56.
    assert SMALL.overlap("alike") == pytest.approx(1 / 1.56)


def test_logs_speak_the_truth() -> None:
    found = simulate_off_policy(SMALL, "alike", n_users=400, n_logs=40)
    assert found["truth"].to_numpy() == pytest.approx(0.8)
    mean = found.groupby("estimator")["value"].mean()
    for name in ("ips", "snips", "el", "dr", "dr (wrong model)"):
        assert mean[name] == pytest.approx(0.8, abs=0.02)
    # The direct method believes its predictions: .8 .5 + .2 .1 and .2 .1 + .8 .5.
    assert mean["dm"] == pytest.approx(0.42)
    assert mean["dm (wrong model)"] == 0.5
    assert mean["ips (clip 10)"] == pytest.approx(mean["ips"])  # no weight is above 2.4
    assert found["effective_rows"].mean() == pytest.approx(400 / 1.56, rel=0.05)
    assert not found["is_refused"].any()


def test_rows_of_a_user_are_not_users() -> None:
    unlike = replace(SMALL, wanted=np.array([[True, True, True], [False, False, False]]))
    found = simulate_off_policy(unlike, "alike", n_users=60, n_logs=10, rows=(1, 30))
    width = (found["upper"] - found["lower"]).groupby(found["estimator"]).mean()
    assert width["snips"] > 3 * width["snips (by row)"]


def test_the_same_seed_draws_the_same() -> None:
    a, b = (simulate_off_policy(SMALL, "alike", n_users=50, n_logs=3, seed=4) for _ in range(2))
    pd.testing.assert_frame_equal(a, b)


def test_a_world_of_a_split() -> None:
    split = split_cold_users(from_frame(planted_interactions(300), time="time"), seed=0)
    model = ItemKNN().fit(split.train)
    world = world_of(split, model)
    n = len(split.test)
    assert world.wanted.sum() == split.test.query_ptr[-1]
    assert (wanted_by(split.test) == world.wanted).all()
    rows = np.arange(n)[:, None]
    shown = split.test.first.item_index.numpy()
    for policy in (world.target, *world.logging.values()):
        np.testing.assert_allclose(policy.sum(axis=1), 1)
        assert (policy[rows, shown] == 0).all()
    shares = [world.overlap(name) for name in world.logging]
    assert max(shares) == world.overlap("the same model")
    assert all(0 < share <= 1 for share in shares)
    # What ranks higher is predicted to be wanted more.
    scores = standardized(model, split.test).numpy()
    assert scores.mean(axis=1) == pytest.approx(0, abs=1e-9)
    best, worst = scores.argmax(axis=1), scores.argmin(axis=1)
    assert world.predicted[rows[:, 0], best].mean() > world.predicted[rows[:, 0], worst].mean()
    assert split.k_max >= K
