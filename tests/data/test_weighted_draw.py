"""Draws without replacement follow the weights."""

from __future__ import annotations

import pytest
import torch

from graphmeta.data.weighted_draw import draw_distinct


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_first_draw_is_in_proportion_to_the_weights() -> None:
    weight = torch.tensor([1.0, 3.0, 6.0, 10.0])
    taken = torch.zeros(20_000, 4, dtype=torch.bool)
    taken[:, 3] = True
    drawn = draw_distinct(weight, taken, n=1, generator=generator())
    share = drawn.flatten().bincount(minlength=4) / len(drawn)
    assert share.tolist() == pytest.approx([0.1, 0.3, 0.6, 0.0], abs=0.02)


def test_draws_are_distinct_and_never_taken() -> None:
    taken = torch.rand(50, 12, generator=generator(1)) < 0.5
    taken[:, :4] = False
    drawn = draw_distinct(torch.ones(12), taken, n=4, generator=generator())
    assert not taken.gather(1, drawn).any()
    assert all(len(row.unique()) == 4 for row in drawn)
    again = draw_distinct(torch.ones(12), taken, n=4, generator=generator())
    assert torch.equal(drawn, again)


def test_none_may_be_drawn() -> None:
    taken = torch.zeros(3, 5, dtype=torch.bool)
    assert draw_distinct(torch.ones(5), taken, n=0, generator=generator()).shape == (3, 0)
