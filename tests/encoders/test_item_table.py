"""Item table: where scores start, what users without a row are."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import HeteroData

from graphmeta.data.cold_users import Support
from graphmeta.encoders import ItemTable, item_table
from graphmeta.encoders.item_table import USERS_PER_CHANNEL, start_for
from graphmeta.errors import ConfigError, DataError
from graphmeta.tasks.episode import RATES
from graphmeta.tasks.episode_sampler import EpisodeSampler


def make_graph() -> HeteroData:
    graph = HeteroData()
    graph["user"].num_nodes, graph["item"].num_nodes = 2, 3
    graph["user"].x = torch.tensor([[1.0], [2.0]])
    graph[RATES].edge_index = torch.tensor([[0, 0, 1], [0, 1, 1]])
    return graph


def rows_of(n_copies: int) -> HeteroData:
    """Return a graph of four rows, each the row of `n_copies` users."""
    row = torch.tensor([[0, 0, 1, 1, 2, 2, 3], [0, 1, 1, 2, 0, 2, 1]])
    graph = HeteroData()
    graph["user"].num_nodes, graph["item"].num_nodes = 4 * n_copies, 3
    copies = [row + torch.tensor([[4 * copy], [0]]) for copy in range(n_copies)]
    graph[RATES].edge_index = torch.cat(copies, dim=1)
    return graph


def test_it_starts_as_the_ideal_low_pass_filter() -> None:
    graph = rows_of(n_copies=1)
    edge_index = graph[RATES].edge_index
    table = ItemTable(graph, channels=2)
    rates = torch.zeros(int(graph["user"].num_nodes), 3, dtype=torch.float64)
    rates[edge_index[0], edge_index[1]] = 1.0
    root = rates.sum(0).sqrt()
    v = torch.linalg.svd(rates / rates.sum(1, keepdim=True).sqrt() / root)[2][:2].T
    wanted = ((v / root[:, None]) @ (v * root[:, None]).T).float()
    found = table.score(table.embedding)
    torch.testing.assert_close(found / found.norm(), wanted / wanted.norm(), atol=1e-5, rtol=1e-4)


def test_the_start_is_random_for_few_users_and_for_more_edges_than_a_spectrum_is_worth(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    large = rows_of(n_copies=USERS_PER_CHANNEL // 2)
    assert start_for(large, channels=2) == "spectral"
    n_edges = large[RATES].edge_index.size(1)
    monkeypatch.setattr(item_table, "SPECTRAL_UP_TO", n_edges - 1)
    assert start_for(large, channels=2) == "random"


def test_few_users_leave_nothing_of_theirs_in_its_start() -> None:
    graph, other = rows_of(n_copies=2), rows_of(n_copies=2)
    other[RATES].edge_index[1] = other[RATES].edge_index[1].flip(0)
    assert start_for(graph, channels=2) == "random"
    first, second = (ItemTable(of, channels=2, start="random") for of in (graph, other))
    assert torch.equal(first.embedding, second.embedding)
    assert torch.equal(first.output, second.output)
    assert not torch.equal(first.embedding, first.output)


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


def test_the_callers_generator_is_left_alone() -> None:
    graph = HeteroData()
    graph["user"].x, graph["item"].x = torch.ones(3, 2), torch.ones(4, 5)
    graph[RATES].edge_index = torch.tensor([[0, 1, 2], [0, 1, 3]])
    before = torch.get_rng_state()
    table = ItemTable(graph, channels=2)
    assert torch.equal(torch.get_rng_state(), before)
    assert {n: m.weight.shape for n, m in table.maps.items()} == {"user": (2, 2), "item": (2, 5)}
    assert not any(bool(p.any()) for p in table.maps.parameters())
    assert all(p.requires_grad for p in table.maps.parameters())


def test_same_seed_same_table() -> None:
    first, second = (ItemTable(make_graph(), channels=4, seed=5) for _ in range(2))
    assert torch.equal(first.embedding, second.embedding)


def test_bad_input() -> None:
    with pytest.raises(ConfigError, match="channels=0"):
        ItemTable(make_graph(), channels=0)


def test_embeddings_may_be_given_to_start_from() -> None:
    table = ItemTable(make_graph(), channels=2)
    embedding, output = torch.rand(3, 2), torch.rand(3, 2)
    table.start_at(embedding, output)
    assert torch.equal(table.embedding, embedding)
    torch.testing.assert_close(table.score(torch.eye(2)), output.T * 2**-0.5)
    assert table.embedding.requires_grad
    with pytest.raises(DataError, match=r"output has shape \[3, 5\]; expected \[3, 2\]"):
        table.start_at(embedding, torch.rand(3, 5))
