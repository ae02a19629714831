"""The compiled sampler and ours: the same options, the same distribution."""

from __future__ import annotations

import pytest
import torch
import torch_geometric.sampler
import torch_geometric.typing
from scipy.stats import chisquare
from torch_geometric.data import HeteroData
from torch_geometric.sampler import BaseSampler, NodeSamplerInput

from graphmeta.errors import ConfigError
from graphmeta.tasks import NeighborSampler, fast_neighbor_sampler

RATES, REV = ("user", "rates", "item"), ("item", "rev_rates", "user")
HAS_PYG_LIB = torch_geometric.typing.WITH_PYG_LIB


def graph_of(edges: list[tuple[int, int]]) -> HeteroData:
    edge_index = torch.tensor(edges).T.contiguous()
    graph = HeteroData()
    graph["user"].num_nodes, graph["item"].num_nodes = (int(n) + 1 for n in edge_index.amax(1))
    graph[RATES].edge_index, graph[REV].edge_index = edge_index, edge_index.flip(0)
    return graph


def samplers() -> list[object]:
    missing = pytest.mark.skipif(not HAS_PYG_LIB, reason="pyg-lib is not installed")
    return [
        NeighborSampler,
        pytest.param(fast_neighbor_sampler, id="pyg-lib", marks=missing),
    ]


@pytest.mark.parametrize("build", samplers())
def test_two_hops_follow_the_exact_distribution(build: type[NeighborSampler]) -> None:
    """User 0 has items 0 to 3; item i was seen by i + 1 further users."""
    edges = [(0, i) for i in range(4)]
    edges += [(1 + 4 * i + j, i) for i in range(4) for j in range(i + 1)]
    sampler: BaseSampler = build(graph_of(edges), [2, 1], disjoint=True)
    seeds = torch.zeros(8000, dtype=torch.long)
    out = sampler.sample_from_nodes(NodeSamplerInput(None, seeds, None, "user"))
    item = out.node["item"]
    assert chisquare(item.bincount(minlength=4).numpy()).pvalue > 0.001
    # A drawn item's edge goes to one of its i + 2 users, the seed among them.
    source = torch.as_tensor(out.node["user"])[out.row[RATES]]
    target = item[out.col[RATES]]
    for i in range(4):
        drawn = source[target == i]
        users = torch.tensor([0, *(1 + 4 * i + j for j in range(i + 1))])
        count = (drawn.unsqueeze(1) == users).sum(0)
        assert int(count.sum()) == len(drawn)
        assert chisquare(count.numpy()).pvalue > 0.001


def test_the_choice_follows_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = graph_of([(0, 0), (1, 0)])
    monkeypatch.setattr(torch_geometric.typing, "WITH_PYG_LIB", False)
    ours = fast_neighbor_sampler(graph, [2], seed=7)
    assert isinstance(ours, NeighborSampler)
    assert ours.seed == 7
    monkeypatch.setattr(torch_geometric.typing, "WITH_PYG_LIB", True)
    theirs = fast_neighbor_sampler(graph, [2, 3], disjoint=True)
    assert isinstance(theirs, torch_geometric.sampler.NeighborSampler)
    assert theirs.disjoint
    fanouts = theirs.num_neighbors.get_mapped_values([RATES, REV])
    assert list(fanouts.values()) == [[2, 3], [2, 3]]


def test_options_are_checked_either_way(monkeypatch: pytest.MonkeyPatch) -> None:
    for is_installed in (False, True):
        monkeypatch.setattr(torch_geometric.typing, "WITH_PYG_LIB", is_installed)
        with pytest.raises(ConfigError, match="time_attr needs disjoint"):
            fast_neighbor_sampler(graph_of([(0, 0)]), [2], time_attr="time")
