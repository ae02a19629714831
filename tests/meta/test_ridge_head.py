"""The closed-form head against plain solves, iALS's fold-in and its own gradient."""

from __future__ import annotations

import pytest
import scipy.sparse as sp
import torch
from torch import nn

from graphmeta.encoders import CatalogueHead
from graphmeta.errors import ConfigError
from graphmeta.meta import RidgeHead
from graphmeta.ranking.baselines.least_squares_factors import FactorSolver
from graphmeta.tasks.episode import EpisodeBatch


def test_each_user_gets_the_minimiser(
    encoder: nn.Module, episodes: EpisodeBatch, head: CatalogueHead
) -> None:
    g, r = 0.1, 0.5
    learner = RidgeHead(encoder, negatives=g, ridge=r).eval()
    z = learner.encode(episodes, {}, head.x_dict(episodes))
    items = head.table.output * head.table.channels**-0.5
    found = learner.adapt(episodes, head)["user"]
    for row, shown in ((0, [0, 1, 2]), (1, [3, 4]), (2, [5])):
        p = found[row].detach().clone().requires_grad_()
        target = torch.zeros(9)
        target[shown] = 1.0
        weight = torch.full((9,), g)
        weight[shown] = 1 / len(shown)
        cost = (weight * (target - items.detach() @ p).square()).sum()
        cost = cost + r * (p - z[row].detach()).square().sum()
        (gradient,) = torch.autograd.grad(cost, p)
        assert float(gradient.abs().max()) < 1e-3
    # Who has shown nothing keeps the encoder's embedding.
    torch.testing.assert_close(found[3], z[3])


@pytest.mark.parametrize("g", [0.1, 1 / 3, 0.34, 0.5, 1.0])
@pytest.mark.parametrize("k", [2, 3])
def test_the_minimiser_is_that_of_a_dense_solve(g: float, k: int, encoder: nn.Module) -> None:
    r = 0.7
    learner = RidgeHead(encoder, negatives=g, ridge=r).double()
    generator = torch.Generator().manual_seed(k)
    items, z = (torch.randn(n, 5, generator=generator, dtype=torch.float64) for n in (12, 1))
    shown = items[:k]
    left = g * items.T @ items + (1 / k - g) * shown.T @ shown + r * torch.eye(5).double()
    wanted = torch.linalg.solve(left, shown.sum(0) / k + r * z[0])
    padded = torch.cat([shown, torch.zeros(4 - k, 5).double()]).unsqueeze(0)
    g_of_float32 = {"atol": 1e-6, "rtol": 1e-6}
    for given in (shown.unsqueeze(0), padded):
        found = learner.solve(z, items.T @ items, given, torch.tensor([k]))
        torch.testing.assert_close(found[0], wanted, **g_of_float32)


def test_threads_cannot_change_the_gradient_of_the_items(
    encoder: nn.Module, episodes: EpisodeBatch, head: CatalogueHead
) -> None:
    left = [RidgeHead(encoder).adapt(episodes, head)["user"].grad_fn]
    met, above = set(left), set()
    while left:
        node = left.pop()
        for parent, _ in node.next_functions:
            if getattr(parent, "variable", None) is head.table.output:
                above.add(type(node).__name__)
            if parent is not None and parent not in met:
                met.add(parent)
                left.append(parent)
    assert "EmbeddingBackward0" in above
    assert "IndexBackward0" not in above


def test_with_fixed_embeddings_it_is_the_fold_in_of_ials(encoder: nn.Module) -> None:
    generator = torch.Generator().manual_seed(0)
    items = torch.randn(20, 6, generator=generator)
    prior = torch.randn(6, generator=generator)
    shown = torch.tensor([[1, 5, 7], [0, 2, 19]])
    matrix = sp.csr_matrix(torch.zeros(2, 20).scatter(1, shown, 1.0).numpy())
    alpha, regularization, k = 4.0, 3.0, 3
    wanted = FactorSolver(items).solve(
        matrix, alpha=alpha, regularization=torch.full((2,), regularization), prior=prior
    )
    # The fold-in sums over the support and weighs it by 1 + alpha; here it weighs 1 in all.
    scale = (1 + alpha) * k
    learner = RidgeHead(encoder, negatives=1 / scale, ridge=regularization / scale)
    gram, size = items.T @ items, torch.tensor([k, k])
    found = learner.solve(prior.expand(2, 6), gram, items[shown], size)
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)


def test_the_gradient_through_the_solution_is_the_true_one(encoder: nn.Module) -> None:
    learner = RidgeHead(encoder.double(), negatives=0.05, ridge=1.5).double()
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()

    z, items, weights = draw(2, 4), draw(7, 4), learner.log_weights.detach().clone()

    def outer(z: torch.Tensor, items: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        inputs = (z, items.T @ items, items[:6].view(2, 3, 4), torch.tensor([3, 3]))
        return torch.func.functional_call(_Solve(learner), {"learner.log_weights": weights}, inputs)

    assert torch.autograd.gradcheck(outer, (z, items, weights.requires_grad_()))


class _Solve(nn.Module):
    def __init__(self, learner: RidgeHead) -> None:
        super().__init__()
        self.learner = learner

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        return self.learner.solve(*inputs)


def test_order_of_the_support_does_not_matter(encoder: nn.Module) -> None:
    generator = torch.Generator().manual_seed(1)
    items, z = (torch.randn(n, 4, generator=generator) for n in (9, 1))
    learner = RidgeHead(encoder, ridge=1.0)
    shown = items[[1, 2, 3]].unsqueeze(0)
    size = torch.tensor([3])
    one, other = (learner.solve(z, items.T @ items, x, size) for x in (shown, shown[:, [2, 0, 1]]))
    torch.testing.assert_close(one, other)
    # Padding is no edge.
    padded = torch.cat([shown, torch.zeros(1, 2, 4)], dim=1)
    torch.testing.assert_close(learner.solve(z, items.T @ items, padded, size), one)


@pytest.mark.parametrize("options", [{"ridge": 0.0}, {"negatives": -1.0}])
def test_bad_options(options: dict[str, float], encoder: nn.Module) -> None:
    with pytest.raises(ConfigError, match="must be above 0"):
        RidgeHead(encoder, **options)
