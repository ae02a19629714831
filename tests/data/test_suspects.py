"""Users who weigh least in the main components, and the graph without them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch_geometric.data import HeteroData

from graphmeta.data import from_frame, planted_interactions
from graphmeta.data.bipartite_graph import FORWARD
from graphmeta.data.scipy_matrix import to_scipy
from graphmeta.data.shilling import inject_profiles
from graphmeta.data.suspects import suspicion, without_users
from graphmeta.errors import ConfigError, DataError

TARGETS = torch.tensor([7, 3])


def test_it_is_a_principal_component_analysis(planted_graph: HeteroData) -> None:
    correlation = np.corrcoef(to_scipy(planted_graph).toarray())
    _, loading = np.linalg.eigh(correlation)
    wanted = -(loading[:, -3:] ** 2).sum(1)
    found = suspicion(planted_graph, rank=3)
    np.testing.assert_allclose(found.numpy(), wanted, atol=1e-5)


def test_users_without_taste_are_suspects() -> None:
    graph = from_frame(planted_interactions(loyalty=0.95))
    attacked = inject_profiles(graph, TARGETS, fillers="random", share=0.05)
    suspects = suspicion(attacked, rank=4).argsort(descending=True)[:10]
    assert (suspects >= 200).sum() >= 9


def test_users_with_all_items_or_none_do_not_disturb(planted_graph: HeteroData) -> None:
    none = inject_profiles(planted_graph, torch.arange(100), share=0.01, profile_size=0)
    assert suspicion(none).isfinite().all()


def test_who_is_left_out_leaves_and_all_else_stays(planted_graph: HeteroData) -> None:
    planted_graph["user"].x = torch.arange(200.0).unsqueeze(1)
    gone = torch.zeros(200, dtype=torch.bool)
    gone[[3, 90, 199]] = True
    kept = without_users(planted_graph, gone)
    rows = planted_graph["user"].id_map.to_index(kept["user"].id_map.ids)
    assert torch.equal(rows, (~gone).nonzero().flatten())
    assert torch.equal(kept["user"].x[:, 0], rows.float())
    assert kept["item"].id_map == planted_graph["item"].id_map
    user, item = kept[FORWARD].edge_index
    edges = set(zip(rows[user].tolist(), item.tolist(), strict=True))
    before = zip(*planted_graph[FORWARD].edge_index.tolist(), strict=True)
    assert edges == {(u, i) for u, i in before if not gone[u]}
    assert len(kept[FORWARD].time) == len(user)


def test_nobody_left_out_leaves_the_graph_as_it_is(planted_graph: HeteroData) -> None:
    same = without_users(planted_graph, torch.zeros(200, dtype=torch.bool))
    assert torch.equal(same[FORWARD].edge_index, planted_graph[FORWARD].edge_index)


def test_what_cannot_be(planted_graph: HeteroData) -> None:
    for users in (torch.ones(200) > 0, torch.zeros(200), torch.zeros(199) > 0):
        with pytest.raises(DataError, match="must say True or False of each of the 200 users"):
            without_users(planted_graph, users)
    for rank in (0, 200):
        with pytest.raises(ConfigError, match=rf"rank={rank} is outside 1\.\.199"):
            suspicion(planted_graph, rank=rank)
