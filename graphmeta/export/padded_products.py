"""Products with an interaction matrix in operations that every ONNX runtime has."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import embedding

from graphmeta.encoders.interaction_matrix import InteractionMatrix


class PaddedProducts(nn.Module):
    """The products of an `InteractionMatrix`, by gathering rows and summing them.

    ONNX has no sparse product, and runtimes may add up a scatter with threads that overwrite each
    other. Here users, and items, are grouped by how many entries they have, up to a power of two,
    to which their lists are padded; a group is one gather and one sum.

    Args:
        matrix: The matrix.
    """

    def __init__(self, matrix: InteractionMatrix) -> None:
        super().__init__()
        num_users, num_items = matrix.shape
        self.of_user = _PaddedRows(matrix.user_pointer, matrix.user_column, num_items)
        self.of_item = _PaddedRows(matrix.item_pointer, matrix.item_column, num_users)

    def to_users(self, x: Float[Tensor, "n n_items"]) -> Float[Tensor, "n n_users"]:
        """Return `x R^T`."""
        out: Tensor = self.of_user(x)
        return out

    def to_items(self, x: Float[Tensor, "n n_users"]) -> Float[Tensor, "n n_items"]:
        """Return `x R`."""
        out: Tensor = self.of_item(x)
        return out


class _PaddedRows(nn.Module):
    """Sums `x` over the columns that each row lists."""

    def __init__(self, pointer: Tensor, column: Tensor, num_columns: int) -> None:
        super().__init__()
        length = pointer.diff()
        # 0 for rows without entries, else the least number whose power of two holds them, plus 1.
        group = length.clamp(min=1).double().log2().ceil().long().add(1).where(length > 0, 0)
        order = group.argsort(stable=True)
        self.register_buffer("place", order.argsort())
        self.num_groups = 0
        for number in group.unique().tolist():
            rows = order[group[order] == number]
            slots = torch.arange(2 ** (number - 1) if number else 1)
            is_entry = slots < length[rows].unsqueeze(1)
            entry = (pointer[rows].unsqueeze(1) + slots).where(is_entry, 0)
            padding = torch.full_like(entry, num_columns)
            table = column[entry].where(is_entry, padding) if len(column) else padding
            self.register_buffer(f"group_{self.num_groups}", table.int())
            self.num_groups += 1

    place: Tensor

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([x.T, torch.zeros_like(x.T[:1])])
        tables = [self.get_buffer(f"group_{number}") for number in range(self.num_groups)]
        sums = [embedding(table, x).sum(1) for table in tables]
        return torch.cat(sums).index_select(0, self.place).T


class RaggedRows(InteractionMatrix):
    """The rows of an `InteractionMatrix`, of users known when the file runs.

    Args:
        matrix: The matrix.
    """

    def __init__(self, matrix: InteractionMatrix) -> None:
        nn.Module.__init__(self)
        self.shape, self._n_bisections = matrix.shape, matrix._n_bisections
        self.register_buffer("user_pointer", matrix.user_pointer.long())
        self.register_buffer("user_column", matrix.user_column.int())

    def items_of(
        self, user: Int[Tensor, " n"]
    ) -> tuple[Int[Tensor, " n_entries"], Int[Tensor, " n_entries"]]:
        """Return every item of some users, none for -1, each with its user's place in `user`."""
        start = self.user_pointer.take(user.clamp(min=0))
        length = (self.user_pointer.take(user.clamp(min=0) + 1) - start) * (user >= 0)
        end = length.cumsum(0)
        n_entries = end[-1:].sum()  # Zero where nobody is asked for.
        # An entry's user is the number of users whose entries end before it.
        ends_at = torch.zeros_like(torch.arange(n_entries.item() + 1))
        place = ends_at.scatter_add(0, end, torch.ones_like(end)).cumsum(0)[:-1]
        first = (start - (end - length)).take(place)
        return place, self.user_column.take(first + torch.arange(place.size(0))).long()
