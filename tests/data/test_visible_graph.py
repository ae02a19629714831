"""What the visible graph keeps and what it drops."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch_geometric.data import HeteroData

from graphmeta.data.bipartite_graph import FORWARD, REVERSE
from graphmeta.data.visible_graph import VisibleGraph
from graphmeta.errors import DataError

GENRE = ("item", "has", "genre")


@pytest.fixture
def masked() -> HeteroData:
    data = HeteroData()
    data["user"].num_nodes, data["item"].num_nodes, data["genre"].num_nodes = 3, 3, 1
    data["user"].test_mask = torch.tensor([False, False, True])
    store = data[FORWARD]
    store.edge_index = torch.tensor([[0, 1, 2, 2], [0, 1, 2, 0]])
    store.time = torch.tensor([1.0, 2.0, 3.0, 4.0])
    store.edge_attr = torch.arange(8).view(4, 2)
    store.note = ["a", "b", "c", "d"]
    store.source = np.array([10, 20, 30, 40])
    store.unit = "seconds"
    store.support_mask = torch.tensor([True, False, True, False])
    store.query_mask = torch.tensor([False, False, False, True])
    data[REVERSE].edge_index = store.edge_index.flip(0)
    data[REVERSE].support_mask = store.support_mask
    data[GENRE].edge_index = torch.tensor([[0, 1, 2, 2], [0, 0, 0, 0]])
    return data


def test_support_edges_stay_with_all_that_is_theirs(masked: HeteroData) -> None:
    visible = VisibleGraph()(masked)
    store = visible[FORWARD]
    assert store.edge_index.tolist() == [[0, 2], [0, 2]]
    assert visible[REVERSE].edge_index.tolist() == [[0, 2], [0, 2]]
    assert store.time.tolist() == [1.0, 3.0]
    assert store.edge_attr.tolist() == [[0, 1], [4, 5]]
    assert list(store.note) == ["a", "c"]
    assert store.source.tolist() == [10, 30]
    assert store.unit == "seconds"
    for edge_type in (FORWARD, REVERSE):
        assert "support_mask" not in visible[edge_type]
        assert "query_mask" not in visible[edge_type]


def test_the_rest_stays_and_the_input_is_left_alone(masked: HeteroData) -> None:
    visible = VisibleGraph()(masked)
    assert visible["user"].test_mask.tolist() == [False, False, True]
    assert [visible[t].num_nodes for t in ("user", "item", "genre")] == [3, 3, 1]
    assert visible[GENRE].edge_index.size(1) == 4
    assert masked[FORWARD].num_edges == 4
    assert "query_mask" in masked[FORWARD]


def test_nothing_marked_is_refused(masked: HeteroData) -> None:
    with pytest.raises(DataError, match="apply SupportQueryMasks first"):
        VisibleGraph()(VisibleGraph()(masked))
