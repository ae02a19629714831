"""A user's own gradient step, by hand."""

from __future__ import annotations

import torch

from graphmeta.ranking.baselines.local_step import local_step


def test_a_short_gradient_is_followed_and_a_long_one_is_cut() -> None:
    weight = torch.tensor([[0.1, 0.2], [3.0, 4.0]], requires_grad=True)
    moved, gradient = local_step({"w": weight}, lambda at: at["w"].square().sum(1), lr=0.25)
    torch.testing.assert_close(gradient["w"][0], 2 * weight[0])
    torch.testing.assert_close(gradient["w"][1], torch.tensor([0.6, 0.8]))  # Of length 1.
    torch.testing.assert_close(moved["w"], weight - 0.25 * gradient["w"])
    # The step is part of the graph, to the second order: d(w/2)/dw is 1/2.
    moved["w"][0].sum().backward()
    torch.testing.assert_close(weight.grad, torch.tensor([[0.5, 0.5], [0.0, 0.0]]))


def test_the_cut_runs_over_all_weights_of_a_user() -> None:
    weights = {
        "a": torch.tensor([[3.0]], requires_grad=True),
        "b": torch.tensor([[4.0]], requires_grad=True),
    }
    moved, gradient = local_step(weights, lambda at: (at["a"] + at["b"]).sum(1) * 5, lr=1.0)
    torch.testing.assert_close(gradient["a"], torch.tensor([[0.5**0.5]]))
    torch.testing.assert_close(moved["b"], torch.tensor([[4 - 0.5**0.5]]))
    assert weights["a"].tolist() == [[3.0]]


def test_without_gradients_the_step_is_the_same_and_keeps_none() -> None:
    weights = {"a": torch.tensor([[0.3]])}
    with torch.no_grad():
        moved, _ = local_step(weights, lambda at: at["a"].square().sum(1), lr=0.5)
    torch.testing.assert_close(moved["a"], torch.tensor([[0.0]]))
