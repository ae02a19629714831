"""The bipartite graph that every reader of interactions returns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data.id_map import IdMap
from graphmeta.errors import DataError

FORWARD = ("user", "rates", "item")
REVERSE = ("item", "rev_rates", "user")


def bipartite_graph(
    edge_index: Tensor,
    *,
    user_ids: IdMap,
    item_ids: IdMap,
    rating: Tensor | None = None,
    time: Tensor | None = None,
    user_x: Tensor | None = None,
    item_x: Tensor | None = None,
    item_x_names: IdMap | None = None,
) -> HeteroData:
    """Build the user-item graph with both edge directions and its id maps.

    Edges keep their order; of edges that join the same pair the first is kept. Names of the items'
    features are kept as `x_names`.

    Shapes:
        edge_index: int64, `[2, n_edges]`, user rows above item rows.
        rating: `[n_edges]`; time: `[n_edges]`.
        user_x: `[n_users, n_features]`; item_x: `[n_items, n_features]`.

    Raises:
        DataError: A feature matrix has another number of rows than there are nodes.
    """
    keep = _first_of_each_pair(edge_index, len(item_ids))
    if keep is not None:
        edge_index = edge_index[:, keep]
        rating = None if rating is None else rating[keep]
        time = None if time is None else time[keep]
    graph = HeteroData()
    for node, ids, x in (("user", user_ids, user_x), ("item", item_ids, item_x)):
        graph[node].num_nodes = len(ids)
        graph[node].id_map = ids
        if x is not None:
            if x.size(0) != len(ids):
                raise DataError(f"{node} features have {x.size(0)} rows for {len(ids)} {node}s")
            graph[node].x = x.float()
    if item_x_names is not None:
        graph["item"].x_names = item_x_names
    for edge_type, index in ((FORWARD, edge_index), (REVERSE, edge_index.flip(0))):
        store: Any = graph[edge_type]
        store.edge_index = index.contiguous()
        if rating is not None:
            store.rating = rating.float()
        if time is not None:
            store.time = time.double()
    return graph


def _first_of_each_pair(edge_index: Tensor, n_items: int) -> Tensor | None:
    """Return the edges to keep, None where all are."""
    pair = edge_index[0] * n_items
    pair += edge_index[1]
    if bool((pair[1:] > pair[:-1]).all()):  # As a store has them; a hash table takes gigabytes.
        return None
    is_again = np.asarray(pd.Index(pair.numpy()).duplicated())
    return torch.from_numpy(np.flatnonzero(~is_again)) if is_again.any() else None
