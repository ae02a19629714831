"""The episode sampler against the graph it samples from."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch_geometric.data import HeteroData

from graphmeta.data.cold_users import Support
from graphmeta.errors import ConfigError, DataError
from graphmeta.tasks.episode import RATES, REV_RATES, EpisodeBatch
from graphmeta.tasks.episode_sampler import EpisodeSampler


@pytest.fixture
def graph() -> HeteroData:
    generator = torch.Generator().manual_seed(3)
    edge_index = (torch.rand(20, 15, generator=generator) < 0.3).nonzero().T.contiguous()
    data = HeteroData()
    data["user"].num_nodes, data["item"].num_nodes = 20, 15
    data[RATES].edge_index, data[REV_RATES].edge_index = edge_index, edge_index.flip(0)
    return data


SUPPORT = Support(torch.tensor([[0, 1, 2], [7, 3, -1], [-1, -1, -1], [14, 0, 5]]))


def sample(graph: HeteroData, fanout: tuple[int, int] = (3, 2), **options: object) -> EpisodeBatch:
    generator = torch.Generator().manual_seed(0)
    sampler = EpisodeSampler(graph, num_neighbors=fanout)
    return sampler.sample(SUPPORT, generator=generator, **options)  # type: ignore[arg-type]


def neighbour_edges(episodes: EpisodeBatch, row: int) -> set[tuple[int, int]]:
    """Return the (user, item) graph rows of an episode's edges beyond the support, both ways."""
    k = episodes.support.item_index.size(1)
    user, item = (episodes.node_index_dict[t][row] for t in ("user", "item"))
    rates = episodes.edge_index_dict[RATES][row, :, k:]
    rev = episodes.edge_index_dict[REV_RATES][row, :, k:].flip(0)
    pairs = [(int(user[u]), int(item[i])) for u, i in torch.cat([rates, rev], 1).T.tolist()]
    return {p for p in pairs if p != (-1, -1)}


def test_every_edge_is_in_the_graph(graph: HeteroData) -> None:
    known = set(map(tuple, graph[RATES].edge_index.T.tolist()))
    episodes = sample(graph)
    for row in range(4):
        assert neighbour_edges(episodes, row) <= known
    assert neighbour_edges(episodes, 0)


def test_all_neighbours_give_the_whole_two_hop_neighbourhood(graph: HeteroData) -> None:
    known = set(map(tuple, graph[RATES].edge_index.T.tolist()))
    episodes = sample(graph, fanout=(-1, -1))
    for row, shown in enumerate(SUPPORT.item_index.tolist()):
        users = {u for u, i in known if i in shown}
        assert neighbour_edges(episodes, row) == {(u, i) for u, i in known if u in users}


def test_own_user_is_never_in_the_subgraph(graph: HeteroData) -> None:
    own = graph[RATES].edge_index[0, torch.tensor([0, 1, 2, 3])]
    episodes = sample(graph, fanout=(-1, -1), own_user=own)
    assert not bool((episodes.node_index_dict["user"] == own.unsqueeze(1)).any())


def test_a_new_user_is_new_beside_training_users(graph: HeteroData) -> None:
    own = graph[RATES].edge_index[0, torch.tensor([0, 1, 2, 3])]
    everyone, nobody = sample(graph, own_user=own), sample(graph)
    mixed = sample(graph, own_user=own.where(torch.tensor([True, False, True, False]), -1))
    for row, wanted in enumerate((everyone, nobody, everyone, nobody)):
        for edge_type in (RATES, REV_RATES):
            found = mixed.edge_attr_dict[edge_type][row, :3]
            assert torch.equal(found, wanted.edge_attr_dict[edge_type][row, :3])
    rates = (one.edge_attr_dict[RATES][0, 0, 3] for one in (everyone, nobody))
    assert next(rates) < next(rates)


def test_support_comes_first_and_is_one_node_even_if_drawn_again(graph: HeteroData) -> None:
    episodes = sample(graph, fanout=(-1, -1))
    item = episodes.node_index_dict["item"]
    assert torch.equal(item[:, :3], SUPPORT.item_index)
    edges = episodes.edge_index_dict[REV_RATES]
    for row in range(4):
        used = item[row, edges[row, 0].unique()]
        used = used[used >= 0]
        assert len(used) == len(used.unique())


def test_leave_one_out_hides_one_edge_in_both_directions(graph: HeteroData) -> None:
    held_out = sample(graph).leave_one_out()
    assert held_out.weight.view(4, 3).sum(1).tolist() == pytest.approx([1, 1, 0, 1])
    view = 1  # episode 0 without its second support item
    assert held_out.target[view] == 1
    assert held_out.views.support.item_index[view].tolist() == [0, -1, 2]
    for edge_type, own in ((RATES, 0), (REV_RATES, 1)):
        edges = held_out.views.edge_index_dict[edge_type][view]
        reached = edges[1 - own][edges[own] == 0].tolist()
        assert reached == [0, 2]


def test_leave_one_out_counts_edges_by_their_weight(graph: HeteroData) -> None:
    episodes = sample(graph)
    n, k = episodes.support.item_index.shape
    equal = episodes.leave_one_out().weight.view(n, k)
    weight = torch.tensor([2.0**-age for age in reversed(range(k))]).repeat(n, 1)
    weight = weight * episodes.support.mask
    weighed = replace(episodes, support=replace(episodes.support, weight=weight))
    found = weighed.leave_one_out().weight.view(n, k)
    used = equal > 0
    expected = weight * used
    assert torch.allclose(found, expected / expected.sum(1, keepdim=True).clamp(min=1e-9))
    assert torch.allclose(found.sum(1), used.any(1).float())


def test_leave_one_out_leaves_the_episodes_alone(graph: HeteroData) -> None:
    episodes = sample(graph)
    before = {e: v.clone() for e, v in episodes.edge_index_dict.items()}
    episodes.leave_one_out()
    assert all(torch.equal(before[e], v) for e, v in episodes.edge_index_dict.items())


def test_same_seed_same_subgraph(graph: HeteroData) -> None:
    first, second = sample(graph), sample(graph)
    assert torch.equal(first.node_index_dict["user"], second.node_index_dict["user"])
    assert torch.equal(first.edge_index_dict[RATES], second.edge_index_dict[RATES])


def test_k_zero_has_the_user_alone(graph: HeteroData) -> None:
    support = Support(torch.empty(2, 0, dtype=torch.long))
    episodes = EpisodeSampler(graph).sample(support, generator=torch.Generator())
    assert episodes.node_index_dict["user"].tolist() == [[-1, -1]] * 2
    assert episodes.edge_index_dict[RATES].shape == (2, 2, 0)


def test_bad_input(graph: HeteroData) -> None:
    with pytest.raises(ConfigError, match="users per item, items per user"):
        EpisodeSampler(graph, num_neighbors=(-2, 3))
    with pytest.raises(DataError, match="outside the catalogue of 15 items"):
        EpisodeSampler(graph).sample(
            Support(torch.tensor([[15]])), generator=torch.Generator().manual_seed(0)
        )


def test_voters_are_users_of_the_support(graph: HeteroData) -> None:
    assert sample(graph).voters is None
    own = torch.tensor([0, 1, 2, -1])
    rows = torch.zeros(20, 15, dtype=torch.bool)
    rows[tuple(graph[RATES].edge_index)] = True
    for num_voters, is_all in ((2, False), (20, True), (-1, True)):
        sampler = EpisodeSampler(graph, num_voters=num_voters)
        episodes = sampler.sample(SUPPORT, generator=torch.Generator().manual_seed(0), own_user=own)
        assert episodes.voters is not None
        for row, voters in enumerate(episodes.voters):
            shown = SUPPORT.item_index[row][SUPPORT.mask[row]]
            found = voters[voters >= 0].tolist()
            everyone = set(rows[:, shown].any(1).nonzero().flatten().tolist()) - {int(own[row])}
            most = num_voters * max(1, len(shown)) if num_voters > 0 else 20
            assert len(set(found)) == len(found) <= most
            assert set(found) == everyone if is_all else set(found) <= everyone
        # They go where the episode goes.
        assert torch.equal(episodes[1:3].voters, episodes.voters[1:3])
        assert torch.equal(
            episodes.leave_one_out().views.voters, episodes.voters.repeat_interleave(3, 0)
        )
    assert not bool((episodes.voters[2] >= 0).any())
    with pytest.raises(ConfigError, match="num_voters=0"):
        EpisodeSampler(graph, num_voters=0)
