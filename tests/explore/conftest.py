"""A small fitted model and its users."""

import pytest

from graphmeta.data import ColdSplit, from_frame, planted_interactions, split_cold_users
from graphmeta.explore import Belief, Scales
from graphmeta.ranking import ColdStartRecommender


@pytest.fixture(scope="session")
def split() -> ColdSplit:
    """Planted users, who have tastes."""
    return split_cold_users(from_frame(planted_interactions(), time="time"), seed=0)


@pytest.fixture(scope="session")
def model(split: ColdSplit) -> ColdStartRecommender:
    """Little trained."""
    return ColdStartRecommender(channels=8, epochs=2, min_steps=1).fit(split.train)


@pytest.fixture
def belief(model: ColdStartRecommender, split: ColdSplit) -> Belief:
    """With the guessed scales."""
    return Belief(model.fitted, Scales.guess(split.train))
