"""Between the user-item graph and a networkx graph."""

from __future__ import annotations

from typing import Any

import networkx as nx
import pandas as pd
from torch_geometric.data import HeteroData

from graphmeta.data.bipartite_graph import FORWARD
from graphmeta.data.table import from_frame
from graphmeta.errors import DataError


def from_networkx(
    graph: Any,
    *,
    user: Any = 0,
    attribute: str = "bipartite",
    rating: str | None = None,
    time: str | None = None,
) -> HeteroData:
    """Turn a bipartite networkx graph into the user-item graph.

    Nodes are their own ids, except nodes made by `to_networkx`, which are pairs of the side
    and the id. Nodes without an edge are left out.

    Args:
        graph: A graph, directed or not.
        user: Value of `attribute` that marks a user; every other node is an item.
        attribute: Node attribute that tells the sides apart.
        rating: Edge attribute with ratings, or None.
        time: Edge attribute with times, or None.

    Raises:
        DataError: A node lacks the attribute, an edge joins two nodes of one side or lacks
            an attribute, or there is no edge.
    """
    side = dict(graph.nodes(data=attribute))
    without = [node for node, value in side.items() if value is None]
    if without:
        raise DataError(f"node {without[0]!r} has no attribute {attribute!r}; mark every node")
    rows = []
    for source, target, values in graph.edges(data=True):
        is_user = side[source] == user
        if is_user == (side[target] == user):
            raise DataError(f"edge ({source!r}, {target!r}) joins two nodes of one side")
        ends = (source, target) if is_user else (target, source)
        row = {"user": _plain(ends[0], "user"), "item": _plain(ends[1], "item")}
        for name, key in (("rating", rating), ("time", time)):
            if key is not None:
                if key not in values:
                    raise DataError(f"edge ({source!r}, {target!r}) has no {key!r}")
                row[name] = values[key]
        rows.append(row)
    if not rows:
        raise DataError("the networkx graph has no edge; give interactions")
    return from_frame(
        pd.DataFrame(rows),
        rating=None if rating is None else "rating",
        time=None if time is None else "time",
    )


def to_networkx(graph: HeteroData) -> Any:
    """Return an undirected networkx graph with nodes `("user", id)` and `("item", id)`.

    Node attribute `bipartite` is 0 for users and 1 for items; edges carry `rating` and `time`
    where the graph has them.
    """
    out = nx.Graph()
    names = {}
    for side, node in enumerate(("user", "item")):
        names[node] = [(node, i) for i in graph[node].id_map.ids.tolist()]
        out.add_nodes_from(names[node], bipartite=side)
    store = graph[FORWARD]
    kept = [key for key in ("rating", "time") if key in store]
    columns = [store[key].tolist() for key in kept]
    users, items = store.edge_index.tolist()
    for number, (user, item) in enumerate(zip(users, items, strict=True)):
        values = {key: column[number] for key, column in zip(kept, columns, strict=True)}
        out.add_edge(names["user"][user], names["item"][item], **values)
    return out


def _plain(node: Any, kind: str) -> Any:
    paired = isinstance(node, tuple) and len(node) == 2 and node[0] == kind
    return node[1] if paired else node
