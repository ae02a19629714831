"""One part of a store: the interactions of one build or one append, in both directions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from graphmeta.store.array_file import ArrayFile


class SegmentFiles(BaseModel):
    """What the manifest says of one segment.

    Args:
        folder: Its folder in the store.
        new_users: Users that no earlier segment has.
        new_items: Items that no earlier segment has.
        num_edges: Its interactions.
        arrays: Its arrays.
        skipped: Damaged files that were left out.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    folder: str
    new_users: int
    new_items: int
    num_edges: int
    arrays: dict[str, ArrayFile]
    skipped: tuple[str, ...] = ()


@dataclass(frozen=True)
class Segment:
    """Compressed rows of users and of items, mapped from disk.

    Only users and items with interactions here have a row: those in `user` and `item`, ascending.
    Row `r` of users has the slots `user_pointer[r]` to `user_pointer[r + 1] - 1`, ascending in the
    item.

    Shapes:
        user: int32, `[n_user_rows]`; user_pointer: int64, `[n_user_rows + 1]`.
        user_item: int32, `[num_edges]`; each user's items.
        item: int32, `[n_item_rows]`; item_pointer: int64, `[n_item_rows + 1]`.
        item_user: int32, `[num_edges]`; each item's users.
        item_slot: int64, `[num_edges]` or None; where in `user_item` each of these is. Kept where
            there are ratings or times.
        rating: float32, `[num_edges]` or None, in the order of `user_item`.
        time: float64, `[num_edges]` or None, in the order of `user_item`.
    """

    user: NDArray[np.int32]
    user_pointer: NDArray[np.int64]
    user_item: NDArray[np.int32]
    item: NDArray[np.int32]
    item_pointer: NDArray[np.int64]
    item_user: NDArray[np.int32]
    item_slot: NDArray[np.int64] | None = None
    rating: NDArray[np.float32] | None = None
    time: NDArray[np.float64] | None = None

    @classmethod
    def open(cls, folder: Path, files: SegmentFiles) -> Segment:
        """Map a segment into memory.

        Raises:
            DataError: A file is missing or has another size.
        """
        arrays: dict[str, Any] = {
            name: file.open(folder / f"{name}.bin") for name, file in files.arrays.items()
        }
        return cls(**arrays)

    @property
    def num_edges(self) -> int:
        """Number of interactions."""
        return len(self.user_item)

    def has(self, user: NDArray[Any], item: NDArray[Any]) -> NDArray[np.bool_]:
        """Return which pairs are interactions of this segment, by bisection.

        Shapes:
            user: `[n]`; item: `[n]`.
        """
        if not self.num_edges:
            return np.zeros(len(user), bool)
        row = np.searchsorted(self.user, user).clip(max=len(self.user) - 1)
        low, end = self.user_pointer[row], self.user_pointer[row + 1]
        high, last = end.copy(), self.num_edges - 1
        while (low < high).any():
            middle = (low + high) // 2
            is_before = (self.user_item[middle.clip(max=last)] < item) & (low < high)
            low = np.where(is_before, middle + 1, low)
            high = np.where(is_before, high, middle)
        is_found = (low < end) & (self.user_item[low.clip(max=last)] == item)
        found: NDArray[np.bool_] = is_found & (self.user[row] == user)
        return found
