"""LightGCN with inductive fold-in of new users."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import scipy.sparse as sp
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from graphmeta.data.cold_users import Support
from graphmeta.ranking.baselines.checkpoint_training import (
    Checkpoints,
    check_rate,
    check_share,
    train,
    user_batches,
)
from graphmeta.ranking.baselines.matrix_scorer import MatrixScorer, check_at_least, check_positive
from graphmeta.ranking.baselines.training_matrix import TrainingMatrix
from graphmeta.ranking.search_space import Axis, SearchSpace

# Standard deviation of the initial embeddings, as in the authors' program.
INITIAL_SCALE = 0.1


class LightGCN(MatrixScorer):
    """Propagates free user and item embeddings over the graph, and new users' over their items.

    With the normalised matrix `N_ui = 1 / sqrt(d_u d_i)`, layer l is `u^l = N v^(l-1)` and
    `v^l = N^T u^(l-1)`, and an embedding is the mean over the layers `0..num_layers` (He et al.,
    "LightGCN", SIGIR 2020). Trained by a softmax over the whole catalogue with a user's items as
    equally likely targets; the paper's sampled pairs (BPR) rank worse at every support size.

    A new user has no layer 0 and is no node of the graph; with support s, `|s| = k`, its layers are

        u^l = k^-1/2 sum_{i in s} d_i^-1/2 v_i^(l-1)     u = sum_{l >= 1} u^l / (num_layers + 1)

    which for a training user's whole row is its own embedding less layer 0. At few shots the
    exponent of `d_i` matters: with `item_exponent` e each term is scaled by
    `(d_i / m)^(1/2 - e)`, m being the mean degree over interactions. Scores are
    `u^T v + popularity_weight * log popularity`.

    PyG's `LightGCN` propagates by gather and scatter over edges, some ten times slower here than
    the sparse products below, and has no fold-in.

    Fit-time:

    Args:
        channels: Width of the embeddings.
        num_layers: Propagation steps.
        num_steps: Gradient steps; each propagates over the whole graph.
        batch_size: Users per step.
        lr: Step size of Adam.
        weight_decay: Weight of the squared layer-0 embeddings in the loss.
        averaging: Share of the averaged embeddings that a step keeps.
        seed: Draws embeddings and batches.

        stop_at: Score-time; take the weights after this share of the training, in fifths.
        item_exponent: Score-time; how much popularity counts against a support item.
        popularity_weight: Score-time; how much log-popularity is added.

    Raises:
        ConfigError: A number is out of its range.
    """

    def __init__(
        self,
        *,
        channels: int = 64,
        num_layers: int = 2,
        num_steps: int = 100,
        batch_size: int = 256,
        lr: float = 0.07,
        weight_decay: float = 1e-6,
        averaging: float = 0.9,
        seed: int = 0,
        stop_at: float = 1.0,
        item_exponent: float = 0.5,
        popularity_weight: float = 0.0,
    ) -> None:
        check_at_least(
            1, channels=channels, num_layers=num_layers, num_steps=num_steps, batch_size=batch_size
        )
        check_at_least(0, weight_decay=weight_decay)
        check_positive(lr=lr)
        check_rate(averaging=averaging)
        check_share(stop_at=stop_at)
        self.channels = channels
        self.num_layers = num_layers
        self.num_steps = num_steps
        self.batch_size = batch_size
        self.lr = lr
        self.weight_decay = weight_decay
        self.averaging = averaging
        self.seed = seed
        self.stop_at = stop_at
        self.item_exponent = item_exponent
        self.popularity_weight = popularity_weight

    @classmethod
    def search_space(cls) -> SearchSpace:
        """Return the grid: three fits, and how to stop and fold in without a fit."""
        return SearchSpace(
            cls,
            fit_time={"num_layers": Axis((1, 2, 3), extend="linear", low=1)},
            score_time={
                "stop_at": Axis((0.2, 0.4, 0.6, 0.8, 1.0)),
                "popularity_weight": Axis((0.0, 0.25, 0.5, 1.0, 2.0), extend="geometric"),
                "item_exponent": Axis((0.0, 0.25, 0.5), extend="linear"),
            },
        )

    def fold_in(self, support: Support) -> Tensor:
        """Return the embeddings of new users.

        Shapes:
            output: float32, `[n_users, channels]`.

        Raises:
            DataError: The scorer is not fitted, or a support item is not in the catalogue.
        """
        matrix = self._fitted()
        matrix.check(support)
        degree = matrix.item_count.clamp(min=1)
        typical = degree.square().sum() / degree.sum()
        weight = degree.rsqrt() * (degree / typical).pow(0.5 - self.item_exponent)
        shown = matrix.support_matrix(support)
        shown.data = weight.numpy()[shown.indices]
        source = self._items.at(self.stop_at)[:-1].sum(0) / (self.num_layers + 1)
        size = support.size.clamp(min=1).unsqueeze(1)
        return torch.from_numpy(shown @ source.numpy()) / size.sqrt()

    def _fit(self, matrix: TrainingMatrix) -> None:
        graph = _NormalisedGraph(matrix)
        generator = torch.Generator().manual_seed(self.seed)
        user, item = (
            (torch.randn(n, self.channels, generator=generator) * INITIAL_SCALE).requires_grad_()
            for n in (matrix.n_users, matrix.n_items)
        )
        batches = user_batches(matrix.n_users, self.batch_size, generator)
        self._checkpoints = train(
            [user, item],
            lambda: self._loss(graph, user, item, batches),
            num_steps=self.num_steps,
            lr=self.lr,
            averaging=self.averaging,
        )
        self._items = Checkpoints(
            tuple(
                torch.stack(graph.layers(user, item, self.num_layers)[1])
                for user, item in self._checkpoints.stages
            )
        )

    def _loss(
        self, graph: _NormalisedGraph, user: Tensor, item: Tensor, batches: Iterator[Tensor]
    ) -> Tensor:
        """Return the loss of the next batch of users."""
        batch = next(batches)
        user_layers, item_layers = graph.layers(user, item, self.num_layers)
        final_user = torch.stack([layer[batch] for layer in user_layers]).mean(0)
        final_item = torch.stack(item_layers).mean(0)
        rows = torch.from_numpy(graph.by_user[batch.numpy()].toarray())
        target = rows / rows.sum(1, keepdim=True).clamp(min=1)
        decay = self.weight_decay * (user.square().sum() + item.square().sum())
        return F.cross_entropy(final_user @ final_item.T, target) + decay

    def _score(self, matrix: TrainingMatrix, support: Support) -> Tensor:
        item = self._items.at(self.stop_at).mean(0)
        return self.fold_in(support) @ item.T + self.popularity_weight * matrix.log_popularity


class _NormalisedGraph:
    """The symmetrically normalised matrix N, by user and by item."""

    def __init__(self, matrix: TrainingMatrix) -> None:
        left, right = (
            sp.diags(count.clamp(min=1).rsqrt().numpy())
            for count in (matrix.user_count, matrix.item_count)
        )
        self.by_user = matrix.by_user
        self._to_user: sp.csr_matrix = (left @ matrix.by_user @ right).tocsr()
        self._to_item: sp.csr_matrix = self._to_user.T.tocsr()

    def layers(self, user: Tensor, item: Tensor, n: int) -> tuple[list[Tensor], list[Tensor]]:
        """Return the user and item embeddings of layers 0 to n."""
        users, items = [user], [item]
        for _ in range(n):
            new_user = _product(self._to_user, items[-1], self._to_item)
            items.append(_product(self._to_item, users[-1], self._to_user))
            users.append(new_user)
        return users, items


def _product(matrix: sp.csr_matrix, dense: Tensor, transposed: sp.csr_matrix) -> Tensor:
    product: Tensor = _SparseProduct.apply(dense, matrix, transposed)  # type: ignore[no-untyped-call]
    return product


class _SparseProduct(torch.autograd.Function):
    """A SciPy matrix times a dense one; torch's sparse CSR warns that it is in beta."""

    @staticmethod
    def forward(ctx: Any, dense: Tensor, matrix: sp.csr_matrix, transposed: sp.csr_matrix) -> Any:
        ctx.transposed = transposed
        return torch.from_numpy(matrix @ dense.detach().numpy())

    @staticmethod
    def backward(ctx: Any, *grad: Tensor) -> Any:
        return torch.from_numpy(ctx.transposed @ grad[0].contiguous().numpy()), None, None
