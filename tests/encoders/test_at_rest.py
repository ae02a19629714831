"""Kept while the weights stay, made anew when one changes."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import Tensor, nn

from graphmeta.encoders.at_rest import AtRest


def test_it_is_made_once_until_a_weight_changes() -> None:
    weight, calls = nn.Parameter(torch.ones(2)), []
    kept: AtRest[Tensor] = AtRest()

    def make() -> Tensor:
        calls.append(1)
        return 2 * weight

    with torch.no_grad():
        assert kept.get([weight], make) is kept.get([weight], make)
        weight.add_(1)
        assert kept.get([weight], make).tolist() == [4.0, 4.0]
        other = nn.Parameter(weight.clone())
        kept.get([other], make)
        assert len(calls) == 3
        for copied in (copy.deepcopy(kept), pickle.loads(pickle.dumps(kept))):
            copied.get([other], make)
    assert len(calls) == 5


@pytest.mark.parametrize("fused", [True, False])
def test_a_step_of_an_optimiser_is_noticed(fused: bool) -> None:
    weight = nn.Parameter(torch.ones(2))
    optimizer = torch.optim.AdamW([weight], lr=0.5, weight_decay=0.0, fused=fused)
    kept: AtRest[Tensor] = AtRest()
    with torch.no_grad():
        assert kept.get([weight], lambda: 2 * weight).tolist() == [2.0, 2.0]
    for at in (1.0, 0.0):  # Adam's first steps are as long as lr.
        weight.grad = torch.ones(2)
        optimizer.step()
        with torch.no_grad():
            found = kept.get([weight], lambda: 2 * weight)
        torch.testing.assert_close(found, torch.full((2,), at), atol=1e-4, rtol=0)


def test_gradients_are_not_lost() -> None:
    weight = nn.Parameter(torch.ones(2))
    kept: AtRest[Tensor] = AtRest()
    with torch.no_grad():
        assert not kept.get([weight], lambda: 2 * weight).requires_grad
    assert kept.get([weight], lambda: 2 * weight).requires_grad


def test_a_new_weight_in_the_place_of_a_dead_one_is_another() -> None:
    kept: AtRest[float] = AtRest()
    with torch.no_grad():
        for value in range(20):  # The allocator gives the same place again.
            weight = nn.Parameter(torch.full((1000,), float(value)))
            assert kept.get([weight], lambda w=weight: float(w[0])) == value
            del weight


def test_data_that_is_swapped_is_noticed() -> None:
    weight = nn.Parameter(torch.ones(2))
    kept: AtRest[float] = AtRest()
    with torch.no_grad():
        assert kept.get([weight], lambda: float(weight.sum())) == 2.0
        weight.data = torch.full((2,), 3.0)  # As `module.to(device)` does.
        assert kept.get([weight], lambda: float(weight.sum())) == 6.0
