"""Support and query masks: by hand, against the split, and under the audit."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.transforms import Compose

from graphmeta.data import audit_leakage, from_frame, planted_interactions, split_cold_users
from graphmeta.data.bipartite_graph import FORWARD, REVERSE
from graphmeta.data.cold_user_masks import ColdUserMasks
from graphmeta.data.support_query_masks import SupportQueryMasks
from graphmeta.data.visible_graph import VisibleGraph
from graphmeta.errors import ConfigError, DataError, LeakageError

# User 0 trains, 1 validates, 2 tests, 3 is in no mask; no training user has item 3.
EDGES = torch.tensor([[0, 0, 0, 1, 1, 1, 1, 2, 2, 3], [0, 1, 2, 3, 2, 0, 1, 1, 0, 0]])
TIME = torch.tensor([5.0, 6, 7, 1, 4, 3, 4, 9, 8, 2], dtype=torch.float64)


@pytest.fixture
def graph() -> HeteroData:
    data = HeteroData()
    data["user"].num_nodes, data["item"].num_nodes = 4, 4
    data[FORWARD].edge_index, data[FORWARD].time = EDGES, TIME
    order = torch.tensor([3, 1, 0, 2, 9, 8, 7, 6, 5, 4])
    data[REVERSE].edge_index, data[REVERSE].time = EDGES.flip(0)[:, order], TIME[order]
    for name, row in (("train_mask", 0), ("val_mask", 1), ("test_mask", 2)):
        data["user"][name] = torch.arange(4) == row
    return data


def pairs(graph: HeteroData, name: str) -> set[tuple[int, int]]:
    """Return the (user, item) pairs under a mask, which must be those of the reverse too."""
    forward = set(map(tuple, graph[FORWARD].edge_index[:, graph[FORWARD][name]].T.tolist()))
    reverse = graph[REVERSE].edge_index[:, graph[REVERSE][name]].flip(0)
    assert forward == set(map(tuple, reverse.T.tolist()))
    return forward


TRAINING = {(0, 0), (0, 1), (0, 2)}


def test_the_first_edges_by_hand(graph: HeteroData) -> None:
    masked = SupportQueryMasks(k=2)(graph)
    # User 1: item 0 at 3, then items 1 and 2 both at 4; item 3 is not in the catalogue.
    assert pairs(masked, "support_mask") == TRAINING | {(1, 0), (1, 1), (2, 0), (2, 1)}
    assert pairs(masked, "query_mask") == {(1, 2)}
    assert "support_mask" not in graph[FORWARD]


def test_no_support_leaves_the_training_graph(graph: HeteroData) -> None:
    masked = SupportQueryMasks(k=0)(graph)
    assert pairs(masked, "support_mask") == TRAINING
    assert pairs(masked, "query_mask") == {(1, 0), (1, 1), (1, 2), (2, 0), (2, 1)}
    audit_leakage(VisibleGraph()(masked), held_out=[1, 2, 3])


def test_without_user_masks_everyone_is_held_out(graph: HeteroData) -> None:
    for name in ("train_mask", "val_mask", "test_mask"):
        del graph["user"][name]
    masked = SupportQueryMasks(k=1)(graph)
    assert pairs(masked, "support_mask") == {(0, 0), (1, 3), (2, 0), (3, 0)}
    assert pairs(masked, "query_mask") == {(0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (2, 1)}


def test_other_relations_and_repeated_edges_follow_the_pair(graph: HeteroData) -> None:
    graph[FORWARD].edge_index = torch.cat([EDGES, EDGES[:, 4:6]], 1)  # (1, 2) and (1, 0) again
    graph[FORWARD].time = torch.cat([TIME, torch.tensor([0.0, 99.0]).double()])
    graph["user", "views", "item"].edge_index = torch.tensor([[0, 1, 1, 1], [3, 0, 2, 3]])
    masked = SupportQueryMasks(k=1)(graph)
    assert masked[FORWARD].support_mask[-2:].tolist() == [False, True]
    assert masked[FORWARD].query_mask[-2:].tolist() == [True, False]
    views = masked["user", "views", "item"]
    assert views.support_mask.tolist() == [True, True, False, False]
    assert views.query_mask.tolist() == [False, False, True, False]


@pytest.mark.parametrize("with_time", [True, False])
def test_with_k_max_they_are_support_and_query_of_the_split(with_time: bool) -> None:
    frame = planted_interactions(seed=5)
    graph = from_frame(frame, time="time" if with_time else None)
    split = split_cold_users(graph, seed=2)
    order = "time" if with_time else "random"
    masks = SupportQueryMasks(k=split.k_max, order=order, seed=2)
    masked = Compose([ColdUserMasks(seed=2), masks])(graph)
    found = {name: named(graph, masked, name) for name in ("support_mask", "query_mask")}
    items = split.train["item"].id_map
    for users in (split.validation, split.test):
        for row, user in enumerate(users.user_ids.ids):
            first, query = users.first.item_index[row], users.query(row)
            assert found["support_mask"].pop(user) == set(items.to_ids(first))
            assert found["query_mask"].pop(user) == set(items.to_ids(query))
    assert not found["query_mask"]
    assert set(found["support_mask"]) == set(split.train["user"].id_map.ids)


def named(graph: HeteroData, masked: HeteroData, name: str) -> dict[object, set[object]]:
    user, item = masked[FORWARD].edge_index[:, masked[FORWARD][name]]
    out: dict[object, set[object]] = {}
    for u, i in zip(
        graph["user"].id_map.to_ids(user), graph["item"].id_map.to_ids(item), strict=True
    ):
        out.setdefault(u, set()).add(i)
    return out


def test_a_random_support_follows_the_seed_and_not_the_order_of_the_edges(
    planted_graph: HeteroData,
) -> None:
    def support(graph: HeteroData, seed: int) -> Tensor:
        masked = SupportQueryMasks(k=3, order="random", seed=seed)(graph)
        store = masked[FORWARD]
        return store.edge_index[:, store.support_mask].T.unique(dim=0)

    shuffled = planted_graph.clone()
    order = torch.randperm(4000, generator=torch.Generator().manual_seed(0))
    for name, value in planted_graph[FORWARD].items():
        shuffled[FORWARD][name] = value[..., order]
    first = support(planted_graph, 0)
    assert first[:, 0].bincount().tolist() == [3] * 200
    assert torch.equal(first, support(shuffled, 0))
    assert not torch.equal(first, support(planted_graph, 1))


def test_the_audit_passes_on_what_is_visible_and_on_nothing_more(
    planted_graph: HeteroData,
) -> None:
    masked = Compose([ColdUserMasks(), SupportQueryMasks(k=3)])(planted_graph)
    store = masked[FORWARD]
    support, query = (store.edge_index[:, store[f"{name}_mask"]] for name in ("support", "query"))
    visible = VisibleGraph()(masked)
    report = audit_leakage(visible, supervision=query, support=support, query=query)
    assert report.message_edges == support.size(1)
    assert report.supervision_edges == query.size(1) > 200
    with pytest.raises(LeakageError, match="supervision edge"):
        audit_leakage(masked, supervision=query)
    one_way = visible.clone()
    one_way[REVERSE].edge_index = masked[REVERSE].edge_index
    with pytest.raises(LeakageError, match="supervision edge"):
        audit_leakage(one_way, supervision=query)


def test_bad_input(graph: HeteroData) -> None:
    with pytest.raises(ConfigError, match="k=-1 must be 0 or more"):
        SupportQueryMasks(k=-1)
    with pytest.raises(ConfigError, match="order='first' must be one of"):
        SupportQueryMasks(k=1, order="first")  # type: ignore[arg-type]
    both = graph.clone()
    both["user"].train_mask[2] = True
    with pytest.raises(LeakageError, match="'user' 2 is both a training and a held-out user"):
        SupportQueryMasks(k=1)(both)
    timeless = graph.clone()
    del timeless[FORWARD].time
    with pytest.raises(DataError, match=r"have no time.*order='random'"):
        SupportQueryMasks(k=1)(timeless)
    transposed = graph.clone()
    del transposed[REVERSE].edge_index
    with pytest.raises(DataError, match="convert adj_t"):
        SupportQueryMasks(k=1)(transposed)
    del graph["user"].val_mask
    with pytest.raises(DataError, match="apply ColdUserMasks, or set all three"):
        SupportQueryMasks(k=1)(graph)


def test_the_options_are_in_its_name() -> None:
    assert repr(SupportQueryMasks(k=3)) != repr(SupportQueryMasks(k=4))
    assert repr(SupportQueryMasks(k=3)).startswith("SupportQueryMasks(k=3, order='time', seed=0")
