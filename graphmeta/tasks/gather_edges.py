"""Reads drawn edges from compressed rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphmeta.compiled import compiled, has_numba


def gather_edges(
    start: Tensor,
    index: Tensor,
    edge_id: Tensor | None,
    position: Tensor,
    offset: Tensor,
) -> tuple[Tensor, Tensor]:
    """Return the neighbour and the edge id in the slots `start[position] + offset`.

    Where numba is installed one compiled loop reads both, so that the processor waits for many
    places in memory at once.

    Args:
        start: The first slot of each row.
        index: The neighbour in each slot.
        edge_id: The edge in each slot; the slot itself where None.
        position: Whose neighbour.
        offset: Which one.

    Shapes:
        start: int64, `[n_rows]`.
        index, edge_id: int64 or int32, `[n_slots]`.
        position: int64, `[n]`; offset: int64, `[n]`.
        output: two times int64, `[n]`.
    """
    if has_numba():
        ids = np.empty(0, np.int64) if edge_id is None else edge_id.numpy()
        arrays = (start.numpy(), index.numpy(), ids, edge_id is not None)
        found = _gather(*arrays, position.numpy(), offset.numpy())
        return torch.from_numpy(found[0]), torch.from_numpy(found[1])
    slot = start[position] + offset
    return index[slot].long(), slot if edge_id is None else edge_id[slot].long()


@compiled
def _gather(
    start: Any, index: Any, edge_id: Any, has_id: bool, position: Any, offset: Any
) -> tuple[Any, Any]:
    n = len(position)
    neighbour, edge = np.empty(n, np.int64), np.empty(n, np.int64)
    for i in range(n):
        edge[i] = start[position[i]] + offset[i]
    for i in range(n):
        neighbour[i] = index[edge[i]]
    if has_id:
        for i in range(n):
            edge[i] = edge_id[edge[i]]
    return neighbour, edge
