"""Older interactions count for less where a half-life says so."""

import pytest
import torch

from graphmeta.data import Support, from_frame, planted_interactions
from graphmeta.errors import ConfigError
from graphmeta.ranking import ColdStartRecommender
from graphmeta.ranking.recency import faded

OLD, LATE = ["i1", "i5", "i9"], ["i2", "i6", "i10"]


def test_weights_halve() -> None:
    support = Support(torch.tensor([[4, 2, 3, 1], [5, 6, -1, -1]]))
    weight = faded(support, 1.0).weight
    assert weight is not None
    assert weight.tolist() == [[0.125, 0.25, 0.5, 1.0], [0.5, 1.0, 0.0, 0.0]]
    assert faded(support, 2.0).weight[0, 1] == 0.5


@pytest.fixture(scope="module")
def model() -> ColdStartRecommender:
    graph = from_frame(planted_interactions(), time="time")
    return ColdStartRecommender(channels=8, epochs=1, min_steps=1).fit(graph)


def test_a_short_half_life_leaves_the_latest(model: ColdStartRecommender) -> None:
    def votes(model: ColdStartRecommender, history: list[str]) -> torch.Tensor:
        vote = model.fitted.head.vote
        return vote.support_weight(model.fitted.episodes(model.adapt(history).support))

    assert bool((votes(model.with_half_life(0.05), [*OLD, *LATE])[0, :-1] < 1e-5).all())
    halved = votes(model.with_half_life(1.0), [*OLD, *LATE]) / votes(model, [*OLD, *LATE])
    assert torch.allclose(halved, torch.tensor([[0.5**age for age in (5, 4, 3, 2, 1, 0)]]))


def test_a_long_one_changes_nothing_and_none_is_off(model: ColdStartRecommender) -> None:
    support = model.adapt([*OLD, *LATE]).support
    far, off = model.with_half_life(1e9), model.with_half_life(5).with_half_life(None)
    assert torch.allclose(far.score(support), model.score(support), atol=1e-5)
    assert torch.equal(off.score(support), model.score(support))
    assert off.fingerprint == model.fingerprint != far.fingerprint


def test_a_state_is_updated_with_it(model: ColdStartRecommender) -> None:
    recent = model.with_half_life(2)
    state = recent.update(recent.adapt(OLD), LATE)
    assert recent.recommend(state) == recent.recommend([*OLD, *LATE])
    assert recent.recommend(state).scores != model.recommend([*OLD, *LATE]).scores
    assert state.weights.keys() == model.adapt(OLD).weights.keys()


def test_what_is_no_half_life(model: ColdStartRecommender) -> None:
    with pytest.raises(ConfigError, match="half_life=0 must be above 0"):
        model.with_half_life(0)
