"""Who came lately: the users to learn from when new users change."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch_geometric.data import HeteroData

from graphmeta.data.bipartite_graph import FORWARD
from graphmeta.errors import DataError


def newcomers(graph: HeteroData, since: float) -> np.ndarray[Any, np.dtype[Any]]:
    """Return the ids of the users whose first interaction is not before a time.

    A new user is most like those who came last: `fine_tuned(graph, users=newcomers(graph, since))`
    learns from their histories alone.

    Args:
        graph: A graph with times on its edges.
        since: In the unit of the graph's `time`.

    Raises:
        DataError: The edges have no time, or nobody came since.
    """
    store = graph[FORWARD]
    if "time" not in store:
        raise DataError("the graph has no edge times; give time= when reading it")
    first = np.full(graph["user"].num_nodes, np.inf)
    np.minimum.at(first, store.edge_index[0].numpy(), store.time.numpy())
    came = (first >= since) & np.isfinite(first)
    if not came.any():
        newest = float(store.time.max())
        raise DataError(f"no user came at {since:g} or later; the newest edge is of {newest:g}")
    ids: np.ndarray[Any, np.dtype[Any]] = graph["user"].id_map.ids[came]
    return ids
