"""The default learner."""

from __future__ import annotations

import pytest
import torch

from graphmeta.errors import ConfigError
from graphmeta.meta import MAML, RidgeHead, relation_learner
from graphmeta.tasks.episode import RATES, REV_RATES

METADATA = (["user", "item"], [RATES, REV_RATES])


def test_only_scales_and_shifts_adapt() -> None:
    learner = relation_learner(METADATA, channels=8)
    kinds = {name.split(".")[2] for name in learner.adapted_names}
    assert kinds == {"scale", "shift"}
    # Both, of both node types, in each of the three layers.
    assert len(learner.adapted_names) == 12


def test_weights_come_from_the_seed() -> None:
    first, same, other = (
        relation_learner(METADATA, channels=8, seed=s).state_dict() for s in (1, 1, 2)
    )
    assert all(torch.equal(first[n], same[n]) for n in first)
    assert any(not torch.equal(first[n], other[n]) for n in first)


def test_the_caller_may_wrap_the_encoder() -> None:
    learner = relation_learner(METADATA, channels=8, wrap=RidgeHead)
    assert isinstance(learner, RidgeHead)
    assert learner.encoder.edge_dim == relation_learner(METADATA, channels=8).encoder.edge_dim > 0


def test_bad_numbers_are_refused() -> None:
    with pytest.raises(ConfigError, match="inner_steps=-1"):
        relation_learner(METADATA, wrap=lambda encoder: MAML(encoder, inner_steps=-1))
