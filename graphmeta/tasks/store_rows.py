"""The rows of a store, as neighbours are drawn from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from graphmeta.store.interaction_store import InteractionStore
from graphmeta.tasks.gather_edges import gather_edges


class StoreRows:
    """The items of every user, or the users of every item, over all segments of a store.

    A row's neighbours are those of the first segment, then those of the second and so on. Edges
    are numbered by segment, user and item, as in `InteractionStore.to_graph`; by item too where
    the store has ratings or times, and otherwise by segment, item and user.

    Args:
        store: The store.
        of: Whose neighbours.
    """

    def __init__(self, store: InteractionStore, of: Literal["user", "item"]) -> None:
        self.num_rows = store.num_users if of == "user" else store.num_items
        self._store, self._of = store, of
        self._parts: list[_Part] = []
        first = 0
        for segment in store.segments:
            row = torch.from_numpy(getattr(segment, of))
            pointer = torch.from_numpy(getattr(segment, f"{of}_pointer"))
            slot = None
            if of == "user":
                index = torch.from_numpy(segment.user_item)
            else:
                index = torch.from_numpy(segment.item_user)
                slot = None if segment.item_slot is None else torch.from_numpy(segment.item_slot)
            is_each = len(row) == 0 or int(row[-1]) == len(row) - 1
            self._parts.append(_Part(None if is_each else row, pointer, index, slot, first))
            first += segment.num_edges

    def __reduce__(self) -> tuple[type[StoreRows], tuple[InteractionStore, str]]:
        """Open the store anew in another process, which then shares its pages."""
        return type(self), (self._store, self._of)

    def degree(self, rows: Tensor) -> Tensor:
        """Return how many neighbours some rows have; int64, `[n_rows]`."""
        degree = torch.zeros_like(rows)
        for part in self._parts:
            degree += part.span(rows)[1]
        return degree

    def take(self, rows: Tensor, position: Tensor, offset: Tensor) -> tuple[Tensor, Tensor]:
        """Return neighbours and edge ids: of row `rows[position]` the one at `offset`."""
        if len(self._parts) == 1:
            return self._parts[0].at(self._parts[0].span(rows)[0], position, offset)
        index, edge = torch.empty_like(offset), torch.empty_like(offset)
        before = torch.zeros_like(rows)
        for part in self._parts:
            start, degree = part.span(rows)
            inside = offset - before[position]
            is_here = (inside >= 0) & (inside < degree[position])
            index[is_here], edge[is_here] = part.at(start, position[is_here], inside[is_here])
            before += degree
        return index, edge


@dataclass(frozen=True)
class _Part:
    """The rows that one segment has; those in `row`, or 0 to n where it is None."""

    row: Tensor | None
    pointer: Tensor
    index: Tensor
    slot: Tensor | None
    first: int

    def span(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return where the neighbours of some rows start, and how many there are."""
        n = len(self.pointer) - 1
        if not n:
            return torch.zeros_like(rows), torch.zeros_like(rows)
        if self.row is None:
            place, is_here = rows.clamp(max=n - 1), rows < n
        else:
            place = torch.searchsorted(self.row, rows.to(self.row.dtype)).clamp(max=n - 1)
            is_here = self.row[place] == rows
        start = self.pointer[place]
        return start, (self.pointer[place + 1] - start) * is_here

    def at(self, start: Tensor, position: Tensor, offset: Tensor) -> tuple[Tensor, Tensor]:
        """Return neighbours and edge ids."""
        index, edge = gather_edges(start, self.index, self.slot, position, offset)
        return index, edge + self.first
