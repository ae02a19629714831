"""Products with the whole user-item matrix."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from graphmeta.tasks.csr import narrow
from graphmeta.tasks.held_by_rows import held_by_rows
from graphmeta.tasks.place_among import place_among

# The sum of two places must fit as well.
INT32_UP_TO = 2**30


class InteractionMatrix(nn.Module):
    """The fixed binary matrix R of users and items.

    Held as two sparse CSR matrices, R and its transpose, so that forward and backward products
    both run row by row. At 4 % of ones this is four to six times as fast as a dense product. Its
    numbers are int32 up to a billion edges: half the memory, and products no slower.

    Shapes:
        edge_index: int64, `[2, n_edges]`, distinct edges.
    """

    def __init__(self, edge_index: Tensor, *, num_users: int, num_items: int) -> None:
        super().__init__()
        self.shape = (num_users, num_items)
        user, item = (narrow(end).numpy() for end in edge_index.cpu())
        # Counted into place, not sorted: linear, and with int32 at 100 million edges half the size.
        of_user = sp.coo_array((np.ones(len(user), np.int8), (user, item)), self.shape).tocsr()
        # The parts, not sparse tensors, which can be neither copied nor sent to a process.
        dtype = np.int32 if len(user) <= INT32_UP_TO else np.int64
        for name, matrix in (("user", of_user), ("item", of_user.tocsc())):
            for part, values in (("pointer", matrix.indptr), ("column", matrix.indices)):
                tensor = torch.from_numpy(values.astype(dtype, copy=False)).to(edge_index.device)
                self.register_buffer(f"{name}_{part}", tensor, persistent=False)
        longest = int(self.user_pointer.diff().max()) if num_users and edge_index.numel() else 0
        self._n_bisections = longest.bit_length()
        ones = torch.ones(edge_index.size(1), device=edge_index.device)
        self.register_buffer("ones", ones, persistent=False)

    user_pointer: Tensor
    user_column: Tensor
    item_pointer: Tensor
    item_column: Tensor
    ones: Tensor

    def to_users(self, x: Float[Tensor, "n n_items"]) -> Float[Tensor, "n n_users"]:
        """Return `x R^T`."""
        return _product(*self._both(), x)

    def to_items(self, x: Float[Tensor, "n n_users"]) -> Float[Tensor, "n n_items"]:
        """Return `x R`."""
        matrix, transposed = self._both()
        return _product(transposed, matrix, x)

    def has(self, user: Int[Tensor, "*#n"], item: Int[Tensor, "*#n"]) -> Bool[Tensor, "*#n"]:
        """Return whether there is an interaction, by bisection in each user's sorted items."""
        user, item = torch.broadcast_tensors(user, item)
        rows = (self.user_pointer, self.user_column)
        return held_by_rows(*rows, user, item, n_rounds=self._n_bisections)

    def items_of(
        self, user: Int[Tensor, " n"]
    ) -> tuple[Int[Tensor, " n_entries"], Int[Tensor, " n_entries"]]:
        """Return every item of some users, none for -1, each with its user's place in `user`."""
        return _entries(self.user_pointer, self.user_column, user)

    def rows(
        self, user: Int[Tensor, " n"], items: Int[Tensor, " m"] | None = None
    ) -> Float[Tensor, "n m"]:
        """Return the rows of some users, zero for -1, or their columns of some items.

        Args:
            user: Rows, or -1.
            items: Distinct items, ascending; None for all.
        """
        width = self.shape[1] if items is None else len(items)
        out = torch.zeros(len(user), width, device=user.device)
        out[self.entries(user, items)] = 1.0
        return out

    def entries(
        self, user: Int[Tensor, " n"], items: Int[Tensor, " m"] | None = None
    ) -> tuple[Int[Tensor, " n_entries"], Int[Tensor, " n_entries"]]:
        """Return where `rows` has its ones: the places in `user` and in `items`."""
        row, column = self.items_of(user)
        if items is not None:
            column = place_among(items, column)
            row, column = row[column >= 0], column[column >= 0]
        return row, column

    def columns(self, items: Int[Tensor, " m"]) -> InteractionMatrix:
        """Return the matrix of all users and some items, distinct ones."""
        place, user = _entries(self.item_pointer, self.item_column, items)
        edge_index = torch.stack([user, place])
        return InteractionMatrix(edge_index, num_users=self.shape[0], num_items=len(items))

    def _both(self) -> tuple[Tensor, Tensor]:
        """Return R and its transpose as sparse tensors that share the parts' memory."""
        with warnings.catch_warnings():
            # A product with a dense matrix, all that is asked of it here, has long been stable, and
            # the parts come from SciPy.
            for told in ("Sparse CSR tensor support is in beta", "Sparse invariant checks are"):
                warnings.filterwarnings("ignore", message=told)
            matrix, transposed = (
                torch.sparse_csr_tensor(p, c, self.ones, shape, check_invariants=False)
                for p, c, shape in (
                    (self.user_pointer, self.user_column, self.shape),
                    (self.item_pointer, self.item_column, self.shape[::-1]),
                )
            )
        return matrix, transposed


def _entries(pointer: Tensor, column: Tensor, row: Tensor) -> tuple[Tensor, Tensor]:
    """Return every entry of some rows of a CSR matrix, none for -1, and its row's place."""
    start = pointer[row.clamp(min=0)].long()
    length = (pointer[row.clamp(min=0) + 1] - start) * (row >= 0)
    place = torch.arange(len(row), device=row.device).repeat_interleave(length)
    first = start - (length.cumsum(0) - length)
    return place, column[first[place] + torch.arange(len(place), device=row.device)].long()


class _Product(torch.autograd.Function):
    """`(A x^T)^T` with a fixed sparse A whose transpose is at hand for the gradient.

    In float32 whatever the precision of training: a vote counts, and not all processors have a
    sparse product of fewer digits.
    """

    @staticmethod
    def forward(ctx: Any, matrix: Tensor, transposed: Tensor, x: Tensor) -> Tensor:
        ctx.save_for_backward(matrix, transposed)
        with torch.autocast(x.device.type, enabled=False):
            return (matrix @ x.T.to(matrix.dtype).contiguous()).T.contiguous()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, None, Tensor]:
        matrix, transposed = ctx.saved_tensors
        return None, None, _product(transposed, matrix, gradients[0])


def _product(matrix: Tensor, transposed: Tensor, x: Tensor) -> Tensor:
    out: Tensor = _Product.apply(matrix, transposed, x)  # type: ignore[no-untyped-call]
    return out
