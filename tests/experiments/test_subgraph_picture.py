"""The pictured subgraph holds the training graph's edges around the support."""

from __future__ import annotations

from pathlib import Path

import networkx as nx
import pytest
from torch_geometric.data import HeteroData

from graphmeta.data import split_cold_users
from graphmeta.experiments.subgraph_picture import draw_subgraph, sampled_subgraph


def test_layers_and_edges(planted_graph: HeteroData) -> None:
    split = split_cold_users(planted_graph, seed=0)
    graph = sampled_subgraph(split, k=3, num_neighbors=(2, 2))
    layers = nx.get_node_attributes(graph, "layer")
    label = nx.get_node_attributes(graph, "label")
    shown = split.train["item"].id_map.to_ids(split.test.support(3).item_index[0])
    assert {label[n] for n in graph if layers[n] == 1} == set(shown)
    assert [label[n] for n in graph if layers[n] == 0] == [split.test.user_ids.ids[0]]
    assert sum(layer == 2 for layer in layers.values()) <= 6
    train = {
        (split.train["user"].id_map.ids[u], split.train["item"].id_map.ids[i])
        for u, i in split.train["user", "rates", "item"].edge_index.T.tolist()
    }
    for one, other in graph.edges:
        user, item = (one, other) if one[0] == "user" else (other, one)
        if layers[user] == 2:
            assert (label[user], label[item]) in train
        else:
            assert layers[item] == 1
    assert nx.is_connected(graph)


@pytest.mark.parametrize("k", [0, 1])
def test_draws_small_supports(planted_graph: HeteroData, tmp_path: Path, k: int) -> None:
    graph = sampled_subgraph(split_cold_users(planted_graph, seed=0), k=k)
    draw_subgraph(tmp_path / "a.png", graph, title="t")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
