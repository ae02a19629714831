"""Which rows hold which numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphmeta.compiled import compiled, has_numba


def held_by_rows(
    pointer: Tensor, index: Tensor, row: Tensor, wanted: Tensor, *, n_rounds: int
) -> Tensor:
    """Return whether a row holds a number, for each pair of them, by bisection.

    Where numba is installed one pair is searched after the other: in torch each round passes over
    all of them.

    Args:
        pointer: Row r has the slots `pointer[r]` to `pointer[r + 1] - 1`.
        index: The number in each slot, ascending in each row.
        row: The rows.
        wanted: The number that each may hold.
        n_rounds: Rounds that the longest row takes: the bits of its length.

    Shapes:
        pointer: int64 or int32, `[n_rows + 1]`; index: int64 or int32, `[n_slots]`.
        row, wanted: int64, of one shape.
        output: bool, of that shape.
    """
    if not len(index):
        return torch.zeros(row.shape, dtype=torch.bool, device=row.device)
    if row.device.type == "cpu" and has_numba() and not torch.compiler.is_compiling():
        arrays = (pointer, index, row.reshape(-1), wanted.reshape(-1))
        return torch.from_numpy(_held(*(array.numpy() for array in arrays))).view(row.shape)
    low, high = pointer.take(row).long(), pointer.take(row + 1).long()
    end, last = high, len(index) - 1
    for _ in range(n_rounds):
        middle = (low + high) // 2
        is_before = (index.take(middle.clamp(max=last)) < wanted) & (low < high)
        low = torch.where(is_before, middle + 1, low)
        high = torch.where(is_before, high, middle)
    return (low < end) & (index.take(low.clamp(max=last)) == wanted)


@compiled
def _held(pointer: Any, index: Any, row: Any, wanted: Any) -> Any:
    out = np.empty(len(row), np.bool_)
    for i in range(len(row)):
        low, end = np.int64(pointer[row[i]]), np.int64(pointer[row[i] + 1])
        high = end
        while low < high:
            middle = (low + high) // 2
            if index[middle] < wanted[i]:
                low = middle + 1
            else:
                high = middle
        out[i] = low < end and index[low] == wanted[i]
    return out
