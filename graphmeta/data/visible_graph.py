"""The graph that messages may pass over, as a PyG transform: support edges alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.transforms import BaseTransform

from graphmeta.errors import DataError


class VisibleGraph(BaseTransform):
    """Drops every edge that `SupportQueryMasks` did not mark as support.

    All that belongs to an edge (times, ratings, features) goes with it, as do both masks, which
    would have nothing left to say. Nodes, their masks and edges of other types stay. Keep the
    graph with the masks for the query: `edge_index[:, query_mask]`.

    Raises:
        DataError: No edge type has a `support_mask`.
    """

    def forward(self, data: HeteroData) -> HeteroData:
        """Return the graph of the support edges."""
        stores = [store for store in data.edge_stores if "support_mask" in store]
        if not stores:
            raise DataError(
                f"no edge type of {data.edge_types} has a support_mask; apply SupportQueryMasks "
                "first"
            )
        for store in stores:
            keep = store.support_mask.nonzero().flatten()
            for name in ("support_mask", "query_mask"):
                store.pop(name, None)
            kept = {
                name: _rows(value, keep, data.__cat_dim__(name, value, store))
                for name, value in store.items()
                if store.is_edge_attr(name)
            }
            for name, value in kept.items():
                store[name] = value
        return data


def _rows(value: Any, keep: Tensor, dim: int) -> Any:
    if isinstance(value, Tensor):
        return value.index_select(dim, keep.to(value.device))
    return np.take(value, keep.cpu().numpy(), axis=0)
