import pytest
import torch
from torch_geometric.data import HeteroData

from graphmeta.data import from_pyg
from graphmeta.errors import ConfigError, DataError


@pytest.fixture
def movies():
    """Laid out like PyG's MovieLens sets."""
    data = HeteroData()
    data["user"].num_nodes = 2
    data["movie"].x = torch.eye(3)
    data["user", "rates", "movie"].edge_index = torch.tensor([[0, 1, 1], [2, 0, 2]])
    data["user", "rates", "movie"].edge_label = torch.tensor([5, 3, 1])
    data["user", "rates", "movie"].time = torch.tensor([10, 20, 30])
    data["movie", "rated_by", "user"].edge_index = torch.tensor([[2, 0, 2], [0, 1, 1]])
    return data


def test_movielens_layout_is_read(movies):
    graph = from_pyg(movies)
    store = graph["user", "rates", "item"]
    assert store.edge_index.tolist() == [[0, 1, 1], [2, 0, 2]]
    assert store.rating.tolist() == [5, 3, 1]
    assert store.time.tolist() == [10, 20, 30]
    assert graph["item"].x.equal(torch.eye(3))


def test_a_reverse_edge_type_is_turned_round(movies):
    graph = from_pyg([movies], user="user", edge_type=("movie", "rated_by", "user"))
    assert graph["user", "rates", "item"].edge_index.tolist() == [[0, 1, 1], [2, 0, 2]]


def test_missing_and_ambiguous_edge_types_are_refused(movies):
    with pytest.raises(DataError, match="no edge type"):
        from_pyg(movies, edge_type=("user", "buys", "movie"))
    movies["user", "sees", "movie"].edge_index = torch.tensor([[0], [0]])
    with pytest.raises(ConfigError, match="several edge types"):
        from_pyg(movies)
