"""Between the user-item graph and a scipy sparse matrix."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch_geometric.data import HeteroData

from graphmeta.data.bipartite_graph import FORWARD, bipartite_graph
from graphmeta.data.id_map import IdMap
from graphmeta.errors import DataError


def from_scipy(
    matrix: Any,
    *,
    user_ids: Iterable[Any] | None = None,
    item_ids: Iterable[Any] | None = None,
    ratings: bool = False,
) -> HeteroData:
    """Turn a sparse users-by-items matrix into a graph; its stored nonzeros are the edges.

    Args:
        matrix: Any scipy sparse matrix or array.
        user_ids: One id a row; row numbers where left out.
        item_ids: One id a column; column numbers where left out.
        ratings: Keep the values as ratings.

    Raises:
        DataError: The matrix has no nonzero, holds a value that is not finite, or the ids
            do not fit its shape.
    """
    source: Any = matrix  # issparse would narrow `matrix` to a type that csr_array refuses.
    if not sp.issparse(matrix):
        raise DataError(f"expected a scipy sparse matrix, got {type(matrix).__name__}")
    table = sp.csr_array(source, copy=True)
    table.sum_duplicates()
    table.eliminate_zeros()
    if not table.nnz:
        raise DataError(f"the matrix of shape {table.shape} has no nonzero; give interactions")
    if not np.isfinite(table.data).all():
        raise DataError("the matrix holds NaN or infinity; remove those entries first")
    maps = []
    for size, given, side in zip(table.shape, (user_ids, item_ids), ("row", "column"), strict=True):
        ids = IdMap(np.arange(size) if given is None else given)
        if len(ids) != size:
            raise DataError(f"{len(ids)} ids for {size} {side}s; give one id a {side}")
        maps.append(ids)
    entries = table.tocoo()
    edge_index = torch.from_numpy(np.stack([entries.row, entries.col]).astype(np.int64))
    values = torch.from_numpy(entries.data.astype(np.float32)) if ratings else None
    return bipartite_graph(edge_index, user_ids=maps[0], item_ids=maps[1], rating=values)


def to_scipy(graph: HeteroData, *, ratings: bool = False) -> sp.csr_matrix:
    """Return the users-by-items matrix, float32: ones, or the ratings.

    Raises:
        DataError: `ratings` was asked of a graph without ratings.
    """
    store = graph[FORWARD]
    if ratings and "rating" not in store:
        raise DataError("the graph has no ratings; call to_scipy with ratings=False")
    users, items = store.edge_index.cpu().numpy()
    values = store.rating.cpu().numpy() if ratings else np.ones(len(users), dtype=np.float32)
    shape = (graph["user"].num_nodes, graph["item"].num_nodes)
    return sp.csr_matrix((values, (users, items)), shape=shape, dtype=np.float32)
