"""Surprises by hand, alarms against another implementation, and a tracked user."""

import numpy as np
import pytest
import torch

from graphmeta.data import Support, from_frame, planted_interactions
from graphmeta.drift import InterestTracker, PageHinkley, surprise_of
from graphmeta.drift.page_hinkley import most_likely_cut
from graphmeta.errors import ConfigError, DataError
from graphmeta.ranking import ColdStartRecommender


class Fixed:
    """Scores by the item's row, and by how many items are known."""

    def fit(self, train: object) -> "Fixed":
        return self

    def score(self, support: Support) -> torch.Tensor:
        scores = -torch.arange(5.0).repeat(len(support), 1)
        return scores + support.size.unsqueeze(1)


def test_surprise_by_hand() -> None:
    history = Support(torch.tensor([[4, 0, 2, 3]]))
    # 4 is last of five; 0 the first of 0..3; of 1..3 the second; of 1 and 3 the last.
    assert surprise_of(Fixed(), history).tolist() == [1.0, 0.0, 0.5, 1.0]
    assert surprise_of(Fixed(), history, start=2).tolist() == [0.5, 1.0]
    assert surprise_of(Fixed(), history, start=4).tolist() == []


def page_hinkley(values: np.ndarray, threshold: float, tolerance: float, least: int) -> int | None:
    """The textbook's test: the sum of excesses over the running mean, less its minimum."""
    total, lowest = 0.0, 0.0
    for n in range(1, len(values) + 1):
        total += values[n - 1] - values[:n].mean() - tolerance
        lowest = min(lowest, total)
        if n >= least and total - lowest > threshold:
            return n
    return None


@pytest.mark.parametrize("tolerance", [0.0, 0.02])
def test_alarms_are_those_of_the_textbook(tolerance: float) -> None:
    rng = np.random.default_rng(0)
    detector = PageHinkley(threshold=1.2, tolerance=tolerance, min_shown=10)
    alarms = []
    for _ in range(20):
        values = np.concatenate([rng.beta(1, 8, 40), rng.beta(1.5, 4, 30)])
        found = detector.change(values.tolist())
        expected = page_hinkley(values, 1.2, tolerance, 10)
        assert (None if found is None else found[0]) == expected
        alarms += [] if found is None else [found]
    assert len(alarms) > 5
    assert all(0 < cut < alarm for alarm, cut in alarms)


def test_the_cut_is_where_means_differ_most() -> None:
    assert most_likely_cut([0.1, 0.1, 0.1, 0.9, 0.8]) == 3
    assert most_likely_cut([0.9, 0.1, 0.1, 0.1, 0.5]) == 4  # Falls are no cuts.


def test_nothing_is_said_of_the_first_few() -> None:
    assert PageHinkley(min_shown=10).change([0.0, *[1.0] * 8]) is None
    assert PageHinkley().change([]) is None
    for wrong in ({"threshold": 0.0}, {"tolerance": -1.0}, {"min_shown": 1}):
        with pytest.raises(ConfigError, match="threshold="):
            PageHinkley(**wrong)


@pytest.fixture(scope="module")
def model() -> ColdStartRecommender:
    graph = from_frame(planted_interactions(), time="time")
    return ColdStartRecommender(channels=8, epochs=2, min_steps=8).fit(graph)


class AfterSix:
    """Finds a change after the fourth of six surprises."""

    def change(self, surprises: list[float]) -> tuple[int, int] | None:
        return (6, 4) if len(surprises) >= 6 else None


ITEMS = ["i1", "i5", "i9", "i13", "i2", "i6", "i10"]


def test_a_change_cuts_the_state(model: ColdStartRecommender) -> None:
    tracker = InterestTracker(model, AfterSix())
    user = tracker.start(ITEMS[:5])
    assert (len(user.state), user.changes, user.earlier) == (5, (), ())
    user = tracker.update(user, ITEMS[5:])
    assert user.earlier == tuple(ITEMS[:4])
    assert user.changes == (4,)
    expected = model.adapt(ITEMS[4:])
    assert model.recommend(user.state) == model.recommend(expected)
    assert torch.equal(user.state.support.item_index, expected.support.item_index)
    assert user.surprises == tuple(surprise_of(model, expected.support).tolist())


def test_one_by_one_is_the_same_as_at_once(model: ColdStartRecommender) -> None:
    tracker = InterestTracker(model, PageHinkley(threshold=0.3, min_shown=2))
    at_once = tracker.start(ITEMS)
    user = tracker.start([])
    for item in ITEMS:
        user = tracker.update(user, [item])
    assert user.changes == at_once.changes
    assert user.earlier == at_once.earlier
    assert user.surprises == pytest.approx(at_once.surprises, abs=1e-6)


def test_late_news_is_judged_anew(model: ColdStartRecommender) -> None:
    tracker = InterestTracker(model)
    user = tracker.start(["i1", "i5"], times=[10, 30])
    user = tracker.update(user, ["i9"], times=[20])
    sorted_user = tracker.start(["i1", "i9", "i5"], times=[10, 20, 30])
    assert user.surprises == sorted_user.surprises


def test_a_foreign_state_is_refused(model: ColdStartRecommender) -> None:
    user = InterestTracker(model).start(ITEMS[:2])
    with pytest.raises(DataError, match="another model"):
        InterestTracker(model.with_half_life(3)).update(user, ITEMS[2:])
