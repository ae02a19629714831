"""A store as PyG's loaders know graphs that are not in memory."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import EdgeAttr, GraphStore
from torch_geometric.data.graph_store import EdgeLayout

from graphmeta.errors import DataError
from graphmeta.store.interaction_store import InteractionStore
from graphmeta.tasks.episode import RATES, REV_RATES, EdgeType
from graphmeta.tasks.store_rows import StoreRows


class StoreGraph(GraphStore):
    """A `GraphStore` that reads an `InteractionStore`, and never writes to it.

    With it a loader samples on disk, and takes features from wherever they are:
    `NodeLoader((features, StoreGraph(store)), node_sampler=NeighborSampler(store, [10, 10]), ...)`.

    Args:
        store: The store.
    """

    def __init__(self, store: InteractionStore) -> None:
        super().__init__()
        self._store = store

    def get_all_edge_attrs(self) -> list[EdgeAttr]:
        """Return both edge types."""
        users, items = self._store.num_users, self._store.num_items
        return [
            EdgeAttr(RATES, EdgeLayout.COO, size=(users, items)),
            EdgeAttr(REV_RATES, EdgeLayout.COO, size=(items, users)),
        ]

    def _get_edge_index(self, edge_attr: EdgeAttr) -> tuple[Tensor, Tensor] | None:
        """Return all edges of a type, in memory, ordered by the source."""
        edge_type: EdgeType = edge_attr.edge_type
        if edge_type not in (RATES, REV_RATES) or edge_attr.layout != EdgeLayout.COO:
            return None
        rows = StoreRows(self._store, "user" if edge_type == RATES else "item")
        everyone = torch.arange(rows.num_rows)
        degree = rows.degree(everyone)
        source = everyone.repeat_interleave(degree)
        offset = torch.arange(len(source)) - (degree.cumsum(0) - degree)[source]
        return source, rows.take(everyone, source, offset)[0]

    def _put_edge_index(self, *_: Any) -> bool:
        raise DataError("a store is not written to through PyG; use InteractionStore.append")

    def _remove_edge_index(self, *_: Any) -> bool:
        raise DataError("interactions are not removed from a store")
