"""Products with the whole user-item matrix, dense where that is the faster way."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor, nn

# Up to this many cells (4 bytes each) a dense product beats a sparse one.
DENSE_CELLS = 60_000_000


class InteractionMatrix(nn.Module):
    """The fixed binary matrix R of users and items.

    Held dense where it has at most `DENSE_CELLS` cells; else as two sparse CSR matrices, R and
    its transpose, so that forward and backward products are both row by row.

    Shapes:
        edge_index: int64, `[2, n_edges]`, distinct edges.
    """

    def __init__(self, edge_index: Tensor, *, num_users: int, num_items: int) -> None:
        super().__init__()
        self.shape = (num_users, num_items)
        self.is_dense = num_users * num_items <= DENSE_CELLS
        if self.is_dense:
            matrix = torch.zeros(self.shape)
            matrix[edge_index[0], edge_index[1]] = 1.0
            self.register_buffer("matrix", matrix, persistent=False)
        else:
            self.register_buffer("matrix", _csr(edge_index, self.shape), persistent=False)
            transposed = _csr(edge_index.flip(0), self.shape[::-1])
            self.register_buffer("transposed", transposed, persistent=False)

    matrix: Tensor
    transposed: Tensor

    def to_users(self, x: Tensor) -> Tensor:
        """Return `x R^T`; float32, `[n, n_items]` to `[n, n_users]`."""
        if self.is_dense:
            return x @ self.matrix.T
        return _sparse_product(self.matrix, self.transposed, x.T).T

    def to_items(self, x: Tensor) -> Tensor:
        """Return `x R`; float32, `[n, n_users]` to `[n, n_items]`."""
        if self.is_dense:
            return x @ self.matrix
        return _sparse_product(self.transposed, self.matrix, x.T).T

    def rows(self, user: Tensor) -> Tensor:
        """Return the rows of some users, zero for -1; float32, `[n, n_items]`."""
        known = (user >= 0).unsqueeze(1)
        if self.is_dense:
            return self.matrix[user.clamp(min=0)] * known
        pointer, column = self.matrix.crow_indices(), self.matrix.col_indices()
        start = pointer[user.clamp(min=0)]
        length = (pointer[user.clamp(min=0) + 1] - start) * known.squeeze(1)
        row = torch.arange(len(user), device=user.device).repeat_interleave(length)
        slot = torch.arange(len(row), device=user.device) - (length.cumsum(0) - length)[row]
        out = torch.zeros(len(user), self.shape[1], device=user.device)
        out[row, column[start[row] + slot]] = 1.0
        return out


def _csr(edge_index: Tensor, shape: tuple[int, ...]) -> Tensor:
    row, column = edge_index[:, (edge_index[0] * shape[1] + edge_index[1]).argsort()]
    pointer = torch.zeros(shape[0] + 1, dtype=torch.long)
    pointer[1:] = torch.bincount(row, minlength=shape[0]).cumsum(0)
    with warnings.catch_warnings():
        # A product with a dense matrix, all that is asked of it here, has long been stable.
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        return torch.sparse_csr_tensor(
            pointer, column, torch.ones(len(column)), shape, check_invariants=True
        )


class _SparseProduct(torch.autograd.Function):
    """`A @ x` with a fixed sparse A whose transpose is at hand for the gradient."""

    @staticmethod
    def forward(ctx: Any, matrix: Tensor, transposed: Tensor, x: Tensor) -> Tensor:
        ctx.save_for_backward(matrix, transposed)
        return matrix @ x.contiguous()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, None, Tensor]:
        matrix, transposed = ctx.saved_tensors
        return None, None, _sparse_product(transposed, matrix, gradients[0])


def _sparse_product(matrix: Tensor, transposed: Tensor, x: Tensor) -> Tensor:
    out: Tensor = _SparseProduct.apply(matrix, transposed, x)  # type: ignore[no-untyped-call]
    return out
