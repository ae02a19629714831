"""Item table: where scores start, what users without a row are."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import HeteroData

from graphmeta.data.cold_users import Support
from graphmeta.encoders import ItemTable
from graphmeta.errors import ConfigError
from graphmeta.tasks.episode import RATES
from graphmeta.tasks.episode_sampler import EpisodeSampler


def make_graph() -> HeteroData:
    graph = HeteroData()
    graph["user"].num_nodes, graph["item"].num_nodes = 2, 3
    graph["user"].x = torch.tensor([[1.0], [2.0]])
    graph[RATES].edge_index = torch.tensor([[0, 0, 1], [0, 1, 1]])
    return graph


def test_without_a_signal_scores_are_log_popularity() -> None:
    table = ItemTable(make_graph(), channels=4)
    scores = table.score(torch.zeros(1, 4))[0]
    torch.testing.assert_close(scores, torch.tensor([2 / 6, 3 / 6, 1 / 6]).log())


def test_user_features_are_the_episode_users_own_and_padding_is_zero() -> None:
    table = ItemTable(make_graph(), channels=4)
    with torch.no_grad():
        table.maps["user"].weight.fill_(1.0)
    support = Support(torch.tensor([[0], [-1]]), user_x=torch.tensor([[5.0], [7.0]]))
    episodes = EpisodeSampler(make_graph()).sample(support, generator=torch.Generator())
    x_dict = table(episodes)
    # Episode 0: its own user, neighbour 0 and the dummy; episode 1 has no neighbour.
    assert x_dict["user"][:, :, 0].tolist() == [[5.0, 1.0, 0.0], [7.0, 0.0, 0.0]]
    assert not x_dict["item"][1].any()
    torch.testing.assert_close(x_dict["item"][0, 0], table.embedding[0])


def test_same_seed_same_table() -> None:
    first, second = (ItemTable(make_graph(), channels=4, seed=5) for _ in range(2))
    assert torch.equal(first.embedding, second.embedding)


def test_bad_input() -> None:
    with pytest.raises(ConfigError, match="channels=0"):
        ItemTable(make_graph(), channels=0)
