"""The half-step of alternating least squares: exact factors of all rows, given the columns'."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

# Numbers in the gathered factors and in the systems of one block of rows: 2^23 are 32 MiB.
BLOCK = 2**23


def solve_factors(
    rows: sp.csr_matrix,
    factors: Tensor,
    *,
    alpha: float,
    regularization: Tensor,
    prior: Tensor | None = None,
) -> Tensor:
    """Return each row's factor p, which solves its regularised weighted least squares exactly.

    With Q the factors of all columns and Q_r those of the row's nonzeros,

        (Q^T Q + alpha Q_r^T Q_r + reg_r I) p = (1 + alpha) Q_r^T 1 + reg_r prior

    Rows are solved in blocks of similar length, padded with a factor of zero.

    Shapes:
        rows: `[n_rows, n_columns]`; its nonzeros count as ones.
        factors: float32, `[n_columns, d]`.
        regularization: float32, `[n_rows]`, above 0.
        prior: float32, `[d]`.
        output: float32, `[n_rows, d]`.
    """
    d = factors.size(1)
    gram = factors.T @ factors
    padded = torch.cat([factors, factors.new_zeros(1, d)])
    out = factors.new_empty(rows.shape[0], d)
    for row, column in _blocks(rows, d):
        own = padded[column]
        reg = regularization[row, None]
        system = torch.baddbmm(gram, own.transpose(1, 2), own, alpha=alpha)
        system.diagonal(dim1=1, dim2=2).add_(reg)
        right = (1 + alpha) * own.sum(dim=1)
        if prior is not None:
            right = right + reg * prior
        factor = torch.linalg.cholesky(system)
        out[row] = torch.cholesky_solve(right.unsqueeze(2), factor).squeeze(2)
    return out


def _blocks(rows: sp.csr_matrix, d: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield row numbers and their columns, padded with `n_columns`, in blocks of similar length."""
    count = np.diff(rows.indptr)
    order = np.argsort(count, kind="stable")
    index = np.append(rows.indices, rows.shape[1]).astype(np.int64)
    start = 0
    while start < len(order):
        # Longest last: widen the block while it stays within bounds.
        stop = min(len(order), start + max(1, BLOCK // d**2))
        while stop > start + 1 and (stop - start) * int(count[order[stop - 1]]) * d > BLOCK:
            stop = start + max(1, (stop - start) // 2)
        row = order[start:stop]
        offset = np.arange(int(count[row[-1]]))
        slot = rows.indptr[row, None] + offset
        slot = np.where(offset < count[row, None], slot, len(index) - 1)
        yield torch.from_numpy(row), torch.from_numpy(index[slot])
        start = stop
