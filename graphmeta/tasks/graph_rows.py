"""Both directions of a user-item graph, in memory or on disk."""

from __future__ import annotations

from torch_geometric.data import HeteroData

from graphmeta.store.interaction_store import InteractionStore
from graphmeta.tasks.csr import CSR, Rows
from graphmeta.tasks.episode import RATES
from graphmeta.tasks.store_rows import StoreRows


def rows_of(graph: HeteroData | InteractionStore) -> tuple[Rows, Rows]:
    """Return the items of every user, and the users of every item."""
    if isinstance(graph, InteractionStore):
        return StoreRows(graph, "user"), StoreRows(graph, "item")
    edge_index = graph[RATES].edge_index
    return (
        CSR.from_edge_index(edge_index, num_rows=int(graph["user"].num_nodes)),
        CSR.from_edge_index(edge_index, num_rows=int(graph["item"].num_nodes), end=1),
    )
