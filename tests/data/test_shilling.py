"""Fake users are added, and nothing else changes."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data import from_frame
from graphmeta.data.bipartite_graph import FORWARD, REVERSE
from graphmeta.data.shilling import inject_profiles, less_known_items
from graphmeta.errors import ConfigError

TARGETS = torch.tensor([7, 3])


def rows_of(graph: HeteroData, first: int) -> list[list[int]]:
    """Return the items of each user from a row on."""
    user, item = graph[FORWARD].edge_index
    n_users = int(graph["user"].num_nodes)
    return [sorted(item[user == row].tolist()) for row in range(first, n_users)]


@pytest.mark.parametrize("fillers", ["random", "bandwagon", "segment"])
def test_fake_users_come_last_and_have_targets_and_fillers(
    planted_graph: HeteroData, fillers: Any
) -> None:
    options = {"fillers": fillers, "share": 0.033, "profile_size": 6}
    attacked = inject_profiles(planted_graph, TARGETS, **options)
    n_real = int(planted_graph["user"].num_nodes)
    assert attacked["user"].num_nodes == n_real + 7  # 6.6, rounded up
    fakes = rows_of(attacked, n_real)
    assert all(len(items) == 8 and {3, 7} <= set(items) for items in fakes)
    assert len({tuple(items) for items in fakes}) > 1
    n_edges = planted_graph[FORWARD].edge_index.size(1)
    for name in ("edge_index", "rating", "time"):
        assert torch.equal(attacked[FORWARD][name][..., :n_edges], planted_graph[FORWARD][name])
    assert torch.equal(attacked[REVERSE].edge_index, attacked[FORWARD].edge_index.flip(0))
    assert attacked["item"].id_map == planted_graph["item"].id_map
    assert (attacked[FORWARD].rating[n_edges:] == planted_graph[FORWARD].rating.max()).all()
    same = inject_profiles(planted_graph, TARGETS, **options)
    assert torch.equal(attacked[FORWARD].edge_index, same[FORWARD].edge_index)
    other = inject_profiles(planted_graph, TARGETS, **options, seed=1)
    assert not torch.equal(attacked[FORWARD].edge_index, other[FORWARD].edge_index)


def filler_counts(graph: HeteroData, fillers: Any) -> Tensor:
    n_real = int(graph["user"].num_nodes)
    attacked = inject_profiles(graph, TARGETS, fillers=fillers, share=1.0, profile_size=5)
    user, item = attacked[FORWARD].edge_index
    return item[user >= n_real].bincount(minlength=int(graph["item"].num_nodes))


def test_bandwagon_fillers_are_better_known_than_random_ones(planted_graph: HeteroData) -> None:
    known = planted_graph[FORWARD].edge_index[1].bincount().float()
    known[TARGETS] = 0
    mean = {
        name: float((filler_counts(planted_graph, name) * known).sum())
        for name in ("random", "bandwagon")
    }
    assert mean["bandwagon"] > 1.3 * mean["random"]


def test_segment_fillers_are_of_one_taste(planted_graph: HeteroData) -> None:
    group = torch.tensor([int(i[1:]) % 4 for i in planted_graph["item"].id_map.ids])

    def largest(fillers: str) -> float:
        counts = filler_counts(planted_graph, fillers)
        counts[TARGETS] = 0
        of_group = torch.zeros(4).index_add(0, group, counts.float())
        return float(of_group.max() / of_group.sum())

    assert largest("segment") > largest("bandwagon") + 0.2


def test_a_sitting_has_one_time(planted_graph: HeteroData) -> None:
    attacked = inject_profiles(planted_graph, TARGETS, share=0.02, profile_size=3)
    n_edges = planted_graph[FORWARD].edge_index.size(1)
    times = attacked[FORWARD].time[n_edges:].view(-1, 5)
    assert (times == times[:, :1]).all()
    assert torch.isin(times, planted_graph[FORWARD].time).all()


@pytest.mark.parametrize(
    ("ids", "new"),
    [([4, 9, 2], [10, 11, 12]), (["a", "fake-1", "b"], ["_fake-0", "_fake-1", "_fake-2"])],
)
def test_new_ids_collide_with_none(ids: list[Any], new: list[Any]) -> None:
    frame = pd.DataFrame({"user": ids * 2, "item": ["x"] * 3 + ["y"] * 3})
    graph = inject_profiles(from_frame(frame), torch.tensor([0]), share=1.0, profile_size=1)
    assert graph["user"].id_map.ids.tolist() == ids + new
    assert graph[FORWARD].edge_index.size(1) == 12
    assert "time" not in graph[FORWARD]


def test_features_are_those_of_real_users(planted_graph: HeteroData) -> None:
    planted_graph["user"].x = torch.arange(200.0).unsqueeze(1)
    attacked = inject_profiles(planted_graph, TARGETS, share=0.1)
    assert torch.equal(attacked["user"].x[:200], planted_graph["user"].x)
    assert attacked["user"].x[200:].unique().numel() > 1


def test_no_share_adds_nobody(planted_graph: HeteroData) -> None:
    same = inject_profiles(planted_graph, TARGETS, share=0.0)
    assert torch.equal(same[FORWARD].edge_index, planted_graph[FORWARD].edge_index)


def test_less_known_items_are_of_the_lower_half(planted_graph: HeteroData) -> None:
    count = planted_graph[FORWARD].edge_index[1].bincount()
    drawn = less_known_items(planted_graph, 20, seed=3)
    assert len(drawn.unique()) == 20
    assert count[drawn].max() <= count.median()
    assert not torch.equal(drawn, less_known_items(planted_graph, 20, seed=4))
    for n in (0, 51):
        with pytest.raises(ConfigError, match=rf"n={n} is outside 1\.\.\d+"):
            less_known_items(planted_graph, n)


@pytest.mark.parametrize(
    ("targets", "options", "message"),
    [
        ([0], {"share": 1.1}, r"share=1\.1 must be in 0\.\.1"),
        ([0], {"profile_size": -1}, "profile_size=-1 0 or more"),
        ([0], {"profile_size": 100}, "profile_size=100 exceeds the 99 items"),
        ([0], {"fillers": "loud"}, "fillers='loud' must be one of"),
        ([], {}, "at least one item"),
        ([1, 1], {}, "each once"),
        ([100], {}, "rows of the 100 items"),
        ([-1], {}, "rows of the 100 items"),
    ],
)
def test_what_cannot_be(
    planted_graph: HeteroData, targets: list[int], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        inject_profiles(planted_graph, torch.tensor(targets, dtype=torch.long), **options)
