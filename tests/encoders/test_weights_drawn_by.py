"""A seed of their own for first weights."""

from __future__ import annotations

import torch
from torch import nn

from graphmeta.encoders.weights_drawn_by import weights_drawn_by


def drawn(seed: int) -> torch.Tensor:
    with weights_drawn_by(seed):
        return nn.Linear(3, 2).weight.detach()


def test_the_seed_decides_and_the_callers_generator_goes_on() -> None:
    before = torch.random.get_rng_state()
    assert torch.equal(drawn(1), drawn(1))
    assert not torch.equal(drawn(1), drawn(2))
    assert torch.equal(before, torch.random.get_rng_state())
