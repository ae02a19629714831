"""Another graph over the items of one."""

from __future__ import annotations

from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data.bipartite_graph import bipartite_graph
from graphmeta.data.id_map import IdMap
from graphmeta.data.links import carry_links


def same_catalogue(
    graph: HeteroData,
    edge_index: Tensor,
    *,
    user_ids: IdMap,
    rating: Tensor | None,
    time: Tensor | None,
    user_x: Tensor | None,
) -> HeteroData:
    """Return a graph of other users and edges whose items, and all that is known of them, stay.

    So do social links between users who are in both graphs.

    Args:
        graph: Where the items come from.
        edge_index: The edges.
        user_ids: Ids of the users.
        rating: Of each edge.
        time: Of each edge.
        user_x: Of each user.

    Shapes:
        edge_index: int64, `[2, n_edges]`, user rows above item rows.
        rating: `[n_edges]`; time: `[n_edges]`; user_x: `[n_users, n_features]`.
    """
    other = bipartite_graph(
        edge_index,
        user_ids=user_ids,
        item_ids=graph["item"].id_map,
        rating=rating,
        time=time,
        user_x=user_x,
    )
    for name, value in graph["item"].items():
        other["item"][name] = value
    carry_links(graph, other)
    return other
