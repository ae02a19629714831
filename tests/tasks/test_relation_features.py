"""What edges carry: by hand for a small graph, and the same for a new user."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data.cold_users import Support
from graphmeta.tasks.episode import RATES
from graphmeta.tasks.relation_features import EDGE_DIM, RelationFeatures

DAY = 86_400.0
L2, L3 = math.log(2), math.log(3)


def make_graph(*, is_bare: bool = False) -> HeteroData:
    graph = HeteroData()
    graph["user"].num_nodes, graph["item"].num_nodes = 2, 2
    graph[RATES].edge_index = torch.tensor([[0, 0, 1], [0, 1, 1]])
    if not is_bare:
        graph[RATES].rating = torch.tensor([1.0, 4.0, 4.0])
        graph[RATES].time = torch.tensor([0.0, 3 * DAY, 7.0], dtype=torch.float64)
    return graph


def of_edges(features: RelationFeatures, edge_id: list[int]) -> Tensor:
    user, item = make_graph()[RATES].edge_index[:, edge_id]
    return features.of_edges(user, item, torch.tensor(edge_id))


def test_edges_by_hand() -> None:
    found = of_edges(RelationFeatures(make_graph()), [0, 1, 2])
    user, item = (2 * L3 + L2) / 3, (L2 + 2 * L3) / 3
    wanted = [
        [-(2**0.5), -math.log(4), L3 - user, L2 - item],
        [0.5**0.5, 0.0, L3 - user, L3 - item],
        [0.5**0.5, 0.0, L2 - user, L3 - item],
    ]
    assert found.tolist() == [pytest.approx(row, abs=1e-5) for row in wanted]


def test_a_new_user_with_a_training_users_edges_gets_the_same_features() -> None:
    graph = make_graph()
    features = RelationFeatures(graph)
    support = Support(
        torch.tensor([[0, 1], [1, -1]]),
        torch.tensor([[1.0, 4.0], [4.0, 0.0]]),
        torch.tensor([[0.0, 3 * DAY], [7.0, 0.0]], dtype=torch.float64),
    )
    found = features.of_support(support, is_training=False)
    torch.testing.assert_close(found[0], of_edges(features, [0, 1]))
    torch.testing.assert_close(found[1, 0], of_edges(features, [2])[0])
    assert not found[1, 1].any()
    # A training user's own edge is not counted in the degree of the item.
    own = features.of_support(support, is_training=True)
    assert own[0, 0, 3].item() == pytest.approx(found[0, 0, 3].item() - L2, abs=1e-6)
    torch.testing.assert_close(own[..., :3], found[..., :3])


def test_without_ratings_and_times_they_are_zero() -> None:
    features = RelationFeatures(make_graph(is_bare=True))
    assert not of_edges(features, [0, 1, 2])[:, :2].any()
    shown = features.of_support(Support(torch.tensor([[0]])), is_training=False)
    assert shown.shape == (1, 1, EDGE_DIM)
    assert not shown[..., :2].any()


def test_what_training_never_saw_counts_for_nothing() -> None:
    features = RelationFeatures(make_graph(is_bare=True))
    plain = Support(torch.tensor([[0, 1]]))
    rated = Support(
        plain.item_index,
        rating=torch.tensor([[5.0, 1.0]]),
        time=torch.tensor([[0.0, 9 * DAY]], dtype=torch.float64),
    )
    found = features.of_support(rated, is_training=False)
    assert torch.equal(found, features.of_support(plain, is_training=False))
