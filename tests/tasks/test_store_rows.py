"""Sampling a store gives what sampling its graph in memory gives."""

from __future__ import annotations

import pickle
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch_geometric.data import HeteroData
from torch_geometric.loader import NodeLoader

from graphmeta.data import Support, planted_interactions
from graphmeta.errors import ConfigError, DataError
from graphmeta.store import InteractionStore
from graphmeta.tasks import EpisodeSampler, NeighborSampler, sample_neighbors
from graphmeta.tasks.episode import RATES, REV_RATES
from graphmeta.tasks.graph_rows import rows_of
from graphmeta.tasks.store_graph import StoreGraph
from graphmeta.tasks.store_rows import StoreRows

RATED = {"rating": "rating", "time": "time"}


def frames(n: int) -> list[pd.DataFrame]:
    return [planted_interactions(50 + 5 * day, 40, per_user=6, seed=day) for day in range(n)]


@pytest.fixture(params=[1, 3], ids=["one segment", "three segments"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> InteractionStore:
    first, *others = frames(request.param)
    store = InteractionStore.build(tmp_path / "store", first, **RATED)
    for frame in others:
        store = store.append(frame)
    return store


def test_rows_are_those_of_the_graph(store: InteractionStore) -> None:
    for found, wanted in zip(rows_of(store), rows_of(store.to_graph()), strict=True):
        assert found.num_rows == wanted.num_rows
        seeds = torch.randint(found.num_rows, (80,), generator=torch.Generator().manual_seed(0))
        for fanout in (-1, 0, 3):
            of_store, of_graph = (
                sample_neighbors(rows, seeds, fanout, seed=1) for rows in (found, wanted)
            )
            for one, other in zip(of_store, of_graph, strict=True):
                assert torch.equal(one, other)


def test_episodes_are_those_of_the_graph(store: InteractionStore) -> None:
    support = Support(
        torch.tensor([[3, 1, 7], [2, -1, -1]]),
        rating=torch.tensor([[5.0, 1.0, 3.0], [4.0, 0.0, 0.0]]),
        time=torch.tensor([[9.0, 1e6, 5e5], [4.0, 0.0, 0.0]], dtype=torch.float64),
    )
    own = torch.tensor([4, -1])
    found, wanted = (
        EpisodeSampler(graph, num_neighbors=(4, 3), num_voters=5).sample(
            support, seed=2, own_user=own
        )
        for graph in (store, store.to_graph())
    )
    assert found.voters is not None
    assert torch.equal(found.voters, wanted.voters)
    for edge_type in (RATES, REV_RATES):
        one, other = (batch.edge_index_dict[edge_type] for batch in (found, wanted))
        assert torch.equal(one, other)
        one, other = (batch.edge_attr_dict[edge_type] for batch in (found, wanted))
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)
        assert bool((one[..., :2] != 0).any())  # Ratings and times came through.


def test_pyg_loads_batches_from_a_store(store: InteractionStore) -> None:
    nodes = HeteroData()
    for kind, n in (("user", store.num_users), ("item", store.num_items)):
        nodes[kind].x = torch.arange(float(n)).unsqueeze(1)
    loader = NodeLoader(
        (nodes, StoreGraph(store)),
        node_sampler=NeighborSampler(store, [4, 3], seed=1),
        input_nodes=("user", torch.arange(30)),
        batch_size=10,
        num_workers=2,
    )
    edges = {tuple(pair) for pair in store.to_graph()[RATES].edge_index.T.tolist()}
    batches = list(loader)
    assert len(batches) == 3
    for batch in batches:
        assert batch["user"].batch_size == 10
        user, item = batch[RATES].edge_index
        pairs = zip(
            batch["user"].x[user, 0].tolist(), batch["item"].x[item, 0].tolist(), strict=True
        )
        assert {(int(u), int(i)) for u, i in pairs} <= edges
        assert batch[REV_RATES].edge_index.size(1) == 40


def test_rows_open_in_another_process_by_the_path(store: InteractionStore) -> None:
    rows = StoreRows(store, "item")
    sent = pickle.dumps(rows)
    assert len(sent) < 500
    seeds = torch.arange(rows.num_rows)
    assert torch.equal(pickle.loads(sent).degree(seeds), rows.degree(seeds))


def test_a_store_has_no_order_in_time(store: InteractionStore) -> None:
    with pytest.raises(ConfigError, match=r"a store is not sampled by time; .*to_graph\(\)"):
        NeighborSampler(store, [2], disjoint=True, time_attr="time")


def test_as_pygs_graph_store(store: InteractionStore) -> None:
    graph = StoreGraph(store)
    forward, backward = graph.get_all_edge_attrs()
    assert forward.size == backward.size[::-1] == (store.num_users, store.num_items)
    wanted = store.to_graph()[RATES].edge_index
    user, item = graph.get_edge_index(forward)
    assert sorted(zip(user.tolist(), item.tolist(), strict=True)) == sorted(
        map(tuple, wanted.T.tolist())
    )
    source, target = graph.get_edge_index(backward)
    assert bool((source.diff() >= 0).all())
    assert set(zip(target.tolist(), source.tolist(), strict=True)) == set(
        zip(user.tolist(), item.tolist(), strict=True)
    )
    with pytest.raises(KeyError):
        graph.get_edge_index(("user", "likes", "item"), layout="coo")
    with pytest.raises(DataError, match=r"use InteractionStore.append"):
        graph.put_edge_index((user, item), forward)
    with pytest.raises(DataError, match="are not removed"):
        graph.remove_edge_index(forward)


def test_a_sampler_in_another_process_reads_what_it_read(tmp_path: Path) -> None:
    store = InteractionStore.build(tmp_path / "store", frames(1)[0], **RATED)
    sampler = EpisodeSampler(store, num_neighbors=(-1, -1))
    sent, support = pickle.dumps(sampler), Support(torch.tensor([[0, 1]]))
    store.append(frames(2)[1])
    found, wanted = (one.sample(support, seed=0) for one in (pickle.loads(sent), sampler))
    for kind, nodes in wanted.node_index_dict.items():
        assert torch.equal(found.node_index_dict[kind], nodes)
