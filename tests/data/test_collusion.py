"""Accounts that push the same items are found by them, whatever else they hold."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from torch_geometric.data import HeteroData

from graphmeta.data import from_frame, planted_interactions
from graphmeta.data.bipartite_graph import FORWARD
from graphmeta.data.collusion import collusion
from graphmeta.data.shilling import inject_profiles, less_known_items
from graphmeta.errors import ConfigError


def test_by_hand() -> None:
    histories = {"a": "xyz", "b": "xy", "c": "xyw", "d": "zw", "e": "x", "f": ""}
    pairs = [(user, item) for user, items in histories.items() for item in items]
    graph = from_frame(pd.DataFrame(pairs, columns=["user", "item"]))
    # x and y: 3 of 4 users; z and w: 1 of 3.
    found = collusion(graph, overlap=0.75, least=2)
    assert found.tolist() == pytest.approx([2 / 3, 1, 2 / 3, 0, 0])
    assert collusion(graph, overlap=0.76, least=2).tolist() == [0] * 5
    assert collusion(graph, overlap=0.75, least=4).tolist() == [0] * 5


def test_it_is_the_plain_definition(planted_graph: HeteroData) -> None:
    found = collusion(planted_graph, overlap=0.25, least=5)
    has: list[set[int]] = [set() for _ in range(100)]
    for user, item in planted_graph[FORWARD].edge_index.T.tolist():
        has[item].add(user)
    wanted = []
    for user in range(200):
        own = [item for item in range(100) if user in has[item]]
        twinned = [
            any(
                j != i
                and min(len(has[i]), len(has[j])) >= 5
                and len(has[i] & has[j]) >= 0.25 * len(has[i] | has[j])
                for j in own
            )
            for i in own
        ]
        wanted.append(sum(twinned) / len(own))
    assert 0 < sum(wanted) < 200
    assert found.tolist() == pytest.approx(wanted)


@pytest.fixture
def sparse_graph() -> HeteroData:
    """200 users with 15 of 300 items, of which few have many users in common."""
    return from_frame(planted_interactions(n_items=300, per_user=15, skew=0.5))


@pytest.mark.parametrize("fillers", ["random", "bandwagon", "segment"])
def test_fake_users_are_found_by_what_they_push(sparse_graph: HeteroData, fillers: Any) -> None:
    targets = sparse_graph[FORWARD].edge_index[1].bincount().argsort()[:4]
    attacked = inject_profiles(sparse_graph, targets, fillers=fillers, share=0.1, profile_size=10)
    colludes = collusion(attacked, overlap=0.5) > 0.1
    assert colludes[200:].all()
    assert colludes[:200].float().mean() < 0.05


def test_who_pushes_a_single_item_is_not_seen(sparse_graph: HeteroData) -> None:
    target = less_known_items(sparse_graph, 1)
    attacked = inject_profiles(sparse_graph, target, fillers="random", share=0.1)
    assert not (collusion(attacked, overlap=0.5) > 0.1).any()


@pytest.mark.parametrize("options", [{"overlap": 0.0}, {"overlap": 1.1}, {"least": 1}])
def test_what_cannot_be(planted_graph: HeteroData, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="must be above 0 and at most 1"):
        collusion(planted_graph, **options)
