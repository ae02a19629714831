"""The half-step of alternating least squares: all rows' factors, given the columns'."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

# Numbers in the gathered factors and in the systems of one block of rows: 4 MiB stay in cache.
BLOCK = 2**20


class FactorSolver:
    """Solves for rows' factors, given the columns', as often as there are new rows.

    Rows are solved in blocks of similar length, padded with a factor of zero. In the basis of the
    eigenvectors of `Q^T Q` all but `Q_r^T Q_r` is diagonal, so that a row much shorter than d costs
    a system of its own length (Woodbury's identity) and not one of d.

    Args:
        factors: Those of the columns, Q.

    Shapes:
        factors: float32, `[n_columns, d]`.
    """

    def __init__(self, factors: Tensor) -> None:
        value, basis = torch.linalg.eigh(factors.T.double() @ factors.double())
        self._eigenvalue, self._basis = value.clamp(min=0).float(), basis.float()
        self._padded = torch.cat([factors @ self._basis, factors.new_zeros(1, factors.size(1))])

    def solve(
        self,
        rows: sp.csr_matrix,
        *,
        alpha: float,
        regularization: Tensor,
        prior: Tensor | None = None,
    ) -> Tensor:
        """Return each row's factor p, which solves its regularised weighted least squares exactly.

        With Q_r the factors of the row's nonzeros,

            (Q^T Q + alpha Q_r^T Q_r + reg_r I) p = (1 + alpha) Q_r^T 1 + reg_r prior

        Shapes:
            rows: `[n_rows, n_columns]`; its nonzeros count as ones.
            regularization: float32, `[n_rows]`, above 0.
            prior: float32, `[d]`.
            output: float32, `[n_rows, d]`.
        """
        d = len(self._eigenvalue)
        out = self._padded.new_empty(rows.shape[0], d)
        for row, column in _blocks(rows, d):
            own = self._padded[column]
            reg = regularization[row, None]
            right = (1 + alpha) * own.sum(dim=1)
            if prior is not None:
                right = right + reg * (prior @ self._basis)
            solve = _solve_short if own.size(1) < d else _solve_long
            out[row] = solve(own, self._eigenvalue + reg, right, alpha)
        return out @ self._basis.T


def _solve_long(own: Tensor, diagonal: Tensor, right: Tensor, alpha: float) -> Tensor:
    """Solve `diag(diagonal) + alpha own^T own` by Cholesky; `[n, d]`."""
    system = torch.baddbmm(torch.diag_embed(diagonal), own.transpose(1, 2), own, alpha=alpha)
    factor = torch.linalg.cholesky(system)
    return torch.cholesky_solve(right.unsqueeze(2), factor).squeeze(2)


def _solve_short(own: Tensor, diagonal: Tensor, right: Tensor, alpha: float) -> Tensor:
    """Solve the same by `D^-1 - D^-1 P^T (I / alpha + P D^-1 P^T)^-1 P D^-1`, P = own."""
    scaled = own / diagonal.unsqueeze(1)
    system = torch.bmm(scaled, own.transpose(1, 2))
    system.diagonal(dim1=1, dim2=2).add_(1 / alpha)
    heard = torch.bmm(scaled, right.unsqueeze(2))
    inner = torch.cholesky_solve(heard, torch.linalg.cholesky(system))
    return right / diagonal - torch.bmm(scaled.transpose(1, 2), inner).squeeze(2)


def _blocks(rows: sp.csr_matrix, d: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield row numbers and their columns, padded with `n_columns`, in blocks of similar length."""
    count = np.diff(rows.indptr)
    order = np.argsort(count, kind="stable")
    index = np.append(rows.indices, rows.shape[1]).astype(np.int64)
    # A row's gathered factors and its system.
    cost = np.maximum(count[order] * d + np.minimum(count[order], d) ** 2, 1)
    start = 0
    while start < len(order):
        widest = cost[start : start + BLOCK // int(cost[start]) + 1]
        padded = widest * np.arange(1, len(widest) + 1)
        stop = start + max(1, int(np.searchsorted(padded, BLOCK, side="right")))
        row = order[start:stop]
        offset = np.arange(int(count[row[-1]]))
        slot = rows.indptr[row, None] + offset
        slot = np.where(offset < count[row, None], slot, len(index) - 1)
        yield torch.from_numpy(row), torch.from_numpy(index[slot])
        start = stop
