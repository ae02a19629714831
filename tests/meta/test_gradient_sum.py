"""Gradients of shards: the sum, its order, and who keeps none. (Two processes: data_parallel.)"""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from graphmeta.meta.data_parallel import DataParallelGroup
from graphmeta.meta.gradient_sum import GradientSum

GROUP = DataParallelGroup(torch.device("cpu"))


def test_gradients_add_up_and_untouched_parameters_keep_none() -> None:
    both, one, none, frozen = (nn.Parameter(torch.ones(1, 2)) for _ in range(4))
    frozen.requires_grad_(False)
    gradients = GradientSum([both, one, none, frozen], GROUP)
    (both * torch.tensor([1.0, 2.0])).sum().backward()
    gradients.add(0.5)
    (both * torch.tensor([10.0, 20.0]) + one).sum().backward()
    gradients.add(0.25)
    assert gradients.reduce() == 0.75
    assert both.grad is not None
    assert one.grad is not None
    assert both.grad.tolist() == [[11.0, 22.0]]
    assert one.grad.tolist() == [[1.0, 1.0]]
    assert none.grad is None
    assert frozen.grad is None


def test_the_order_of_shards_leaves_no_trace() -> None:
    generator = torch.Generator().manual_seed(0)
    # All sizes down to noise, whose sums end in the middle between two floats ever so often.
    shards = torch.randn(5, 2000, generator=generator)
    shards *= 10.0 ** -torch.randint(0, 20, (5, 2000), generator=generator)
    found = []
    for order in itertools.permutations(range(5)):
        weight = nn.Parameter(torch.zeros(2000))
        gradients = GradientSum([weight], GROUP)
        for number in order:
            weight.grad = shards[number].clone()
            gradients.add(float(shards[number, 0]))
        loss = gradients.reduce()
        assert weight.grad is not None
        found.append((loss, weight.grad))
    torch.testing.assert_close(found[0][1], shards.sum(0), atol=1e-6, rtol=0)
    for loss, gradient in found:
        assert loss == found[0][0]
        assert torch.equal(gradient, found[0][1])


def test_parameters_keep_their_types() -> None:
    single, double = nn.Parameter(torch.zeros(99)), nn.Parameter(torch.zeros(99).double())
    wanted = torch.randn(99, generator=torch.Generator().manual_seed(0))
    single.grad, double.grad = wanted.clone(), wanted.double() / 3
    gradients = GradientSum([single, double], GROUP)
    gradients.add(0.1)
    assert gradients.reduce() == pytest.approx(0.1)
    torch.testing.assert_close(single.grad, wanted, atol=1e-7, rtol=0)
    torch.testing.assert_close(double.grad, wanted.double() / 3, atol=1e-13, rtol=0)


def test_a_loss_that_is_not_finite_shows_in_the_sum() -> None:
    gradients = GradientSum([nn.Parameter(torch.zeros(1))], GROUP)
    gradients.add(1.0)
    gradients.add(float("nan"))
    assert gradients.reduce() != gradients.reduce()  # NaN is not itself.
