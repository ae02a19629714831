"""Expected moments of few-shot episodes, and ridge regression on them."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from graphmeta.ranking.baselines.training_matrix import TrainingMatrix


class FewShotMoments:
    """The moments of `FewShotLinear` for one k, as sums over users of sparse rows.

    The item part of A is `D + Z^T Z`: for random supports with `Z = diag(sqrt(w k (k-1) /
    (n (n-1)))) X` and a diagonal D, for the first items F in time with `Z = diag(sqrt(w)) F` and
    no D. So systems are solved in items or, by Woodbury's identity `(D + Z^T Z)^-1 = D^-1 -
    D^-1 Z^T (I + Z D^-1 Z^T)^-1 Z D^-1`, in users.

    Args:
        matrix: Who interacted with what.
        inputs: Items that are inputs.
        k: Size of the support.
        weight_exponent: `w_u = (n_u - k) ** -weight_exponent`.
        first_in_time: Supports are the users' first k items, not random ones.

    Shapes:
        inputs: int64, `[n_inputs]`.
    """

    def __init__(
        self,
        matrix: TrainingMatrix,
        inputs: Tensor,
        *,
        k: int,
        weight_exponent: float,
        first_in_time: bool = False,
    ) -> None:
        n = matrix.user_count
        weight = (n - k).clamp(min=1).pow(-weight_exponent).where(n > k, 0.0)
        self._matrix, self._inputs = matrix, inputs
        self._total = float(weight.sum())
        self._is_diagonal = k == 1
        self._gram: Tensor | None = None
        self._factor: tuple[float, Tensor] | None = None
        self._is_first = first_in_time
        if first_in_time:
            self._shown = matrix.first_items(k)
            within, self._cross = weight, weight
            diagonal = torch.from_numpy(self._shown.T @ weight.numpy())
            both = diagonal
        else:
            self._shown = matrix.by_user
            pairs = n * (n - 1).clamp(min=1)
            within, self._cross = weight * k * (k - 1) / pairs, weight * k * (n - k) / pairs
            diagonal = _sum_over_users(matrix, weight * k / n.clamp(min=1))
            both = _sum_over_users(matrix, within)
        self._z: sp.csr_matrix = (
            sp.diags(within.sqrt().numpy()) @ self._shown[:, inputs.numpy()]
        ).tocsr()
        self._diagonal = diagonal[inputs]
        # What A_ii holds beyond the diagonal of Z^T Z, which is nothing but that for one item.
        self._rest = self._diagonal if self._is_diagonal else (diagonal - both)[inputs]
        self._bias_target = _sum_over_users(matrix, weight) - diagonal

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
        return bias[:, None] * self._bias_target + self._crossed(full)

    def _crossed(self, full: Tensor) -> Tensor:
        """Return `full B` without the bias's part: no support item is a target.

        Shapes:
            full: float32, `[n, n_items]`.
            output: float32, `[n, n_items]`.
        """
        heard = torch.from_numpy(np.ascontiguousarray((self._shown @ full.numpy().T).T))
        heard = heard * self._cross
        if self._is_first:
            own = torch.from_numpy(np.ascontiguousarray((self._shown.T @ heard.numpy().T).T))
        else:
            own = full * _sum_over_users(self._matrix, self._cross)
        return self._matrix.votes(heard) - own

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
