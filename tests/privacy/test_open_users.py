"""Which users are open, and the graphs of both kinds."""

import pytest
import torch
from torch_geometric.data import HeteroData

from graphmeta.data.bipartite_graph import FORWARD
from graphmeta.data.links import TRUSTS
from graphmeta.data.split import split_hash
from graphmeta.errors import ConfigError, DataError
from graphmeta.privacy import open_users, part_users
from graphmeta.privacy.open_users import refuse_unlike


def pairs(graph: HeteroData) -> set[tuple[object, object]]:
    user, item = graph[FORWARD].edge_index
    return set(
        zip(graph["user"].id_map.to_ids(user), graph["item"].id_map.to_ids(item), strict=True)
    )


def test_every_interaction_is_in_one_graph_and_every_item_in_both(
    planted_graph: HeteroData,
) -> None:
    is_open = open_users(planted_graph, 0.3, seed=1)
    parts = part_users(planted_graph, is_open)
    assert pairs(parts[0]).isdisjoint(pairs(parts[1]))
    assert pairs(parts[0]) | pairs(parts[1]) == pairs(planted_graph)
    for part, kept in zip(parts, (is_open, ~is_open), strict=True):
        assert part["user"].num_nodes == int(kept.sum())
        assert part["item"].num_nodes == planted_graph["item"].num_nodes
        users = planted_graph[FORWARD].edge_index[0]
        for name in ("rating", "time"):
            expected = planted_graph[FORWARD][name][kept[users]]
            assert torch.equal(part[FORWARD][name], expected)
    refuse_unlike(*parts)


def test_open_users_are_drawn_by_their_ids(planted_graph: HeteroData) -> None:
    ids = planted_graph["user"].id_map.ids
    expected = [split_hash(f"open/2/{user}") < 0.5 for user in ids]
    assert open_users(planted_graph, 0.5, seed=2).tolist() == expected
    assert not open_users(planted_graph, 0.0).any()
    assert open_users(planted_graph, 1.0).all()


def test_what_cannot_be_parted(planted_graph: HeteroData) -> None:
    n_users = int(planted_graph["user"].num_nodes)
    with pytest.raises(ConfigError, match=r"share=1.5 must be in 0\.\.1"):
        open_users(planted_graph, 1.5)
    with pytest.raises(DataError, match="give a bool for each of"):
        part_users(planted_graph, torch.ones(3, dtype=torch.bool))
    with pytest.raises(DataError, match="needs both kinds"):
        part_users(planted_graph, torch.ones(n_users, dtype=torch.bool))
    graph, private = part_users(planted_graph, open_users(planted_graph, 0.5))
    with pytest.raises(DataError, match="are open and private"):
        refuse_unlike(graph, graph)
    private["item"].id_map = private["item"].id_map.select(torch.arange(99))
    with pytest.raises(DataError, match="the same items in the same order"):
        refuse_unlike(graph, private)
    graph[TRUSTS].edge_index = torch.tensor([[0], [1]])
    with pytest.raises(DataError, match="links are of two users"):
        refuse_unlike(graph, private)
