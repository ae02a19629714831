"""Other users of the same items."""

from __future__ import annotations

import torch
from torch_geometric.data import HeteroData

from graphmeta.data import IdMap
from graphmeta.data.bipartite_graph import FORWARD, REVERSE
from graphmeta.data.same_catalogue import same_catalogue


def test_items_and_all_that_is_known_of_them_stay(planted_graph: HeteroData) -> None:
    planted_graph["item"].x = torch.rand(100, 3)
    planted_graph["item"].x_names = IdMap("abc")
    planted_graph["item"].domain = torch.arange(100) % 2
    edges = torch.tensor([[0, 1, 1], [99, 4, 7]])
    other = same_catalogue(
        planted_graph,
        edges,
        user_ids=IdMap(["new", "newer"]),
        rating=None,
        time=torch.tensor([3.0, 2.0, 1.0]),
        user_x=None,
    )
    assert dict(other["item"].items()).keys() == dict(planted_graph["item"].items()).keys()
    for name in ("x", "domain"):
        assert other["item"][name] is planted_graph["item"][name]
    assert other["item"].id_map == planted_graph["item"].id_map
    assert other["item"].x_names == IdMap("abc")
    assert other["user"].num_nodes == 2
    assert torch.equal(other[FORWARD].edge_index, edges)
    assert torch.equal(other[REVERSE].edge_index, edges.flip(0))
    assert "rating" not in other[FORWARD]
    assert other[FORWARD].time.tolist() == [3, 2, 1]
