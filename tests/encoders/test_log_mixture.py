"""The mixture's logarithm and gradient against the formula step by step."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from graphmeta.encoders.log_mixture import log_mixture


def mixed(rows: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    first, second, w, v = (
        torch.rand(shape, generator=generator, dtype=torch.float64)
        for shape in ((3, 5), (rows, 5), (3, 1), (3, 1))
    )
    first[0], w[0] = 0.0, 0.0  # Nobody votes.
    return first.requires_grad_(), second + 0.1, w.requires_grad_(), v.requires_grad_()


@pytest.mark.parametrize("rows", [1, 3])
def test_against_the_formula(rows: int) -> None:
    first, second, w, v = mixed(rows)
    torch.testing.assert_close(log_mixture(first, second, w, v), (w * first + v * second).log())
    with torch.no_grad():
        found = log_mixture(first, second, w, v)
    torch.testing.assert_close(found, (w * first + v * second).log())
    assert torch.autograd.gradcheck(lambda f, w, v: log_mixture(f, second, w, v), (first, w, v))


def test_it_says_that_it_is_differentiable_once() -> None:
    first, second, w, v = mixed(1)
    total = log_mixture(first, second, w, v).square().sum()
    (slope,) = torch.autograd.grad(total, w, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        slope.sum().backward()
