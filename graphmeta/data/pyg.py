"""From PyG's own graphs and data sets to the user-item graph."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data.bipartite_graph import bipartite_graph
from graphmeta.data.id_map import IdMap
from graphmeta.errors import ConfigError, DataError

EdgeType = tuple[str, str, str]


def from_pyg(
    data: Any,
    *,
    user: str | None = None,
    item: str | None = None,
    edge_type: EdgeType | None = None,
) -> HeteroData:
    """Turn a `HeteroData`, or a PyG data set that holds one, into the user-item graph.

    External ids are the node's `id_map` where it has one, else the row numbers. Ratings come from
    `rating`, else from a one-dimensional `edge_label`; times from `time`. A relation that is
    split into training and test edges (`edge_index` and `edge_label_index`, such as
    `AmazonBook`) gives its `edge_index`.

    Args:
        data: A `HeteroData` or a data set whose first element is one.
        user: Node type that acts as user; by default `user`, else the source of the edge type.
        item: Node type that acts as item; by default the other end.
        edge_type: The edge type to read, needed where several join users and items.

    Raises:
        DataError: There is no such edge type, or it has no edge.
        ConfigError: Several edge types could be meant.
    """
    graph = data if isinstance(data, HeteroData) else data[0]
    if not isinstance(graph, HeteroData):
        raise DataError(f"expected HeteroData, got {type(graph).__name__}; give a bipartite graph")
    chosen = edge_type or _bipartite_edge_type(graph, user, item)
    if chosen not in graph.edge_types:
        raise DataError(f"no edge type {chosen} among {graph.edge_types}")
    flipped = chosen[0] == item or (chosen[2] == user and user is not None)
    source, target = (chosen[2], chosen[0]) if flipped else (chosen[0], chosen[2])
    store = graph[chosen]
    if "edge_index" not in store or store.edge_index.size(1) == 0:
        raise DataError(f"edge type {chosen} has no edges; choose another with edge_type=")
    edge_index: Tensor = store.edge_index.flip(0) if flipped else store.edge_index
    size = edge_index.size(1)
    rating = store.get("rating", store.get("edge_label"))
    time = store.get("time")
    return bipartite_graph(
        edge_index.long().cpu(),
        user_ids=_ids(graph, source),
        item_ids=_ids(graph, target),
        rating=rating.float().cpu() if _per_edge(rating, size) else None,
        time=time.double().cpu() if _per_edge(time, size) else None,
        user_x=_dense(graph[source].get("x")),
        item_x=_dense(graph[target].get("x")),
    )


def _per_edge(value: Any, size: int) -> bool:
    return isinstance(value, Tensor) and value.dim() == 1 and value.size(0) == size


def _dense(x: Any) -> Tensor | None:
    if not isinstance(x, Tensor):
        return None
    x = x.to_dense() if x.layout != torch.strided else x
    return x.float().cpu() if x.dim() == 2 else None


def _ids(graph: HeteroData, node: str) -> IdMap:
    known = graph[node].get("id_map")
    return known if isinstance(known, IdMap) else IdMap(np.arange(graph[node].num_nodes))


def _bipartite_edge_type(graph: HeteroData, user: str | None, item: str | None) -> EdgeType:
    ends = {user, item} - {None}
    fits: list[EdgeType] = [t for t in graph.edge_types if t[0] != t[2] and ends <= {t[0], t[2]}]
    forward = [t for t in fits if t[0] == (user or "user")] or fits
    forward = [t for t in forward if not t[1].startswith("rev_")] or forward
    if not forward:
        raise DataError(f"no bipartite edge type among {graph.edge_types}; name user= and item=")
    if len(forward) > 1:
        raise ConfigError(f"several edge types could be meant, {forward}; choose with edge_type=")
    return forward[0]
