import networkx as nx
import pandas as pd
import pytest

from graphmeta.data import from_frame
from graphmeta.data.networkx_graph import from_networkx, to_networkx
from graphmeta.errors import DataError


def test_round_trip_keeps_ids_that_both_sides_share():
    frame = pd.DataFrame({"user": [1, 1, 2], "item": [1, 2, 2], "rating": [5.0, 4.0, 3.0]})
    back = from_networkx(to_networkx(from_frame(frame, rating="rating")), rating="rating")
    users, items = back["user", "rates", "item"].edge_index
    edges = zip(
        back["user"].id_map.to_ids(users).tolist(),
        back["item"].id_map.to_ids(items).tolist(),
        back["user", "rates", "item"].rating.tolist(),
        strict=True,
    )
    assert sorted(edges) == [(1, 1, 5.0), (1, 2, 4.0), (2, 2, 3.0)]


def test_unmarked_nodes_and_one_sided_edges_are_refused():
    graph = nx.Graph([("a", "b")])
    with pytest.raises(DataError, match="node 'a' has no attribute 'bipartite'"):
        from_networkx(graph)
    nx.set_node_attributes(graph, 0, "bipartite")
    with pytest.raises(DataError, match="joins two nodes of one side"):
        from_networkx(graph)
