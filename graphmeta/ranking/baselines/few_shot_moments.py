"""Expected moments of few-shot episodes, and ridge regression on them."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from graphmeta.ranking.baselines.training_matrix import TrainingMatrix


class FewShotMoments:
    """The moments of `FewShotLinear` for one k, as sums over users of sparse rows.

    The item part of A is `D + Z^T Z` with `Z = diag(sqrt(w k (k-1) / (n (n-1)))) X` and a
    diagonal D, so that systems are solved in items or, by Woodbury's identity
    `(D + Z^T Z)^-1 = D^-1 - D^-1 Z^T (I + Z D^-1 Z^T)^-1 Z D^-1`, in users.

    Args:
        matrix: Who interacted with what.
        inputs: Items that are inputs.
        k: Size of the support.
        weight_exponent: `w_u = (n_u - k) ** -weight_exponent`.

    Shapes:
        inputs: int64, `[n_inputs]`.
    """

    def __init__(
        self, matrix: TrainingMatrix, inputs: Tensor, *, k: int, weight_exponent: float
    ) -> None:
        n = matrix.user_count
        weight = (n - k).clamp(min=1).pow(-weight_exponent).where(n > k, 0.0)
        pairs = n * (n - 1).clamp(min=1)
        within = weight * k * (k - 1) / pairs
        rows = matrix.by_user[:, inputs.numpy()]
        self._matrix, self._inputs = matrix, inputs
        self._z: sp.csr_matrix = (sp.diags(within.sqrt().numpy()) @ rows).tocsr()
        self._cross = weight * k * (n - k) / pairs
        self._cross_diagonal = _sum_over_users(matrix, self._cross)
        self._total = float(weight.sum())
        self._diagonal = _sum_over_users(matrix, weight * k / n.clamp(min=1))[inputs]
        # What A_ii holds beyond the diagonal of Z^T Z.
        self._rest = self._diagonal - _sum_over_users(matrix, within)[inputs]
        self._bias_target = _sum_over_users(matrix, weight * (n - k) / n.clamp(min=1))
        self._is_diagonal = k == 1
        self._gram: Tensor | None = None
        self._factor: tuple[float, Tensor] | None = None

    @property
    def is_empty(self) -> bool:
        """Whether no training user has more than k items."""
        return self._total == 0

    def predict(self, shown: Tensor, ridge: float) -> Tensor:
        """Return the regression's scores.

        Shapes:
            shown: float32, `[n, n_inputs]`; the supports as ones.
            output: float32, `[n, n_items]`.
        """
        # The bias row borders the item part: eliminate it (Schur complement).
        solved = self._solve(torch.cat([shown, self._diagonal[None]]), ridge)
        weight, border = solved[:-1], solved[-1]
        bias = (1 - shown @ border) / (self._total - self._diagonal @ border)
        full = torch.zeros(len(shown), self._matrix.n_items)
        full[:, self._inputs] = weight - bias[:, None] * border
        heard = torch.from_numpy(np.ascontiguousarray((self._matrix.by_user @ full.numpy().T).T))
        crossed = self._matrix.votes(heard * self._cross) - full * self._cross_diagonal
        return bias[:, None] * self._bias_target + crossed

    def _solve(self, right: Tensor, ridge: float) -> Tensor:
        """Return `right (D + Z^T Z)^-1`."""
        diagonal = self._rest + ridge * self._diagonal.mean()
        if self._is_diagonal:
            return right / diagonal
        in_items = self._z.shape[0] >= self._z.shape[1]
        if self._factor is None or self._factor[0] != ridge:
            self._factor = None
            system = self._item_system(diagonal) if in_items else self._user_system(diagonal)
            self._factor = (ridge, torch.linalg.cholesky(system))
        factor = self._factor[1]
        if in_items:
            return torch.cholesky_solve(right.T, factor).T
        scaled = right / diagonal
        heard = torch.from_numpy(self._z @ scaled.T.numpy())
        back = self._z.T @ torch.cholesky_solve(heard, factor).numpy()
        return scaled - torch.from_numpy(back).T / diagonal

    def _item_system(self, diagonal: Tensor) -> Tensor:
        if self._gram is None:
            self._gram = torch.from_numpy((self._z.T @ self._z).toarray())
        system = self._gram.clone()
        system.diagonal().add_(diagonal)
        return system

    def _user_system(self, diagonal: Tensor) -> Tensor:
        scaled = self._z @ sp.diags((1 / diagonal).numpy())
        system = torch.from_numpy((scaled @ self._z.T).toarray())
        system.diagonal().add_(1)
        return system


def _sum_over_users(matrix: TrainingMatrix, weight: Tensor) -> Tensor:
    """Return each item's sum of the weights of its users; float32, `[n_items]`."""
    return torch.from_numpy(matrix.by_item @ weight.numpy())
