"""Items of several domains, apart and together."""

import pandas as pd
import pytest
import torch
from torch_geometric.data import HeteroData

from graphmeta.data import IdMap, from_frame, join_domains, split_domains, with_domains
from graphmeta.data.domains import domain_of
from graphmeta.errors import DataError


def _table() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "user": ["ann", "ann", "bob", "bob", "cy"],
            "item": ["f1", "b1", "b2", "f1", "b2"],
            "rating": [5.0, 3.0, 4.0, 2.0, 1.0],
            "time": [1.0, 2.0, 3.0, 4.0, 5.0],
        }
    )


DOMAINS = {"f1": "film", "b1": "book", "b2": "book", "other": "game"}


def _edges(graph: HeteroData) -> set[tuple[str, str, float, float]]:
    """Edges by their ids, with what is known of them."""
    store = graph["user", "rates", "item"]
    users = graph["user"].id_map.to_ids(store.edge_index[0])
    items = graph["item"].id_map.to_ids(store.edge_index[1])
    rows = zip(users, items, store.rating.tolist(), store.time.tolist(), strict=True)
    return set(rows)


def _joined() -> HeteroData:
    return with_domains(from_frame(_table(), rating="rating", time="time"), DOMAINS)


def test_every_item_has_its_domain() -> None:
    graph = from_frame(_table())
    labelled = with_domains(graph, pd.Series(DOMAINS))
    domain, names = domain_of(labelled)
    found = dict(zip(graph["item"].id_map.ids, names.to_ids(domain), strict=True))
    assert found == {"f1": "film", "b1": "book", "b2": "book"}
    assert "domain" not in graph["item"]


def test_types_of_nodes_and_back() -> None:
    graph = _joined()
    apart = split_domains(graph)
    assert set(apart.node_types) == {"user", "book", "film"}
    assert apart["book"].id_map.ids.tolist() == ["b1", "b2"]
    forward = apart["user", "rates", "book"]
    assert forward.rating.tolist() == [3.0, 4.0, 1.0]
    reverse = apart["book", "rev_rates", "user"].edge_index
    assert torch.equal(reverse, forward.edge_index.flip(0))
    again = join_domains(apart)
    assert _edges(again) == _edges(graph)
    domain, names = domain_of(again)
    assert names.to_ids(domain).tolist() == ["book", "book", "film"]
    assert apart.validate()


def test_features_stand_together_or_apart() -> None:
    graph = _joined()
    graph["item"].x = torch.arange(6.0).view(3, 2)
    graph["item"].x_names = IdMap(["long", "new"])
    apart = split_domains(graph)
    together = join_domains(apart)
    rows = together["item"].id_map.to_index(graph["item"].id_map.ids)
    assert torch.equal(together["item"].x[rows], graph["item"].x)
    apart["film"].x, apart["film"].x_names = torch.tensor([[7.0]]), IdMap(["length"])
    mixed = join_domains(apart)
    assert mixed["item"].x_names.ids.tolist() == ["book:long", "book:new", "film:length"]
    assert mixed["item"].x[2].tolist() == [0.0, 0.0, 7.0]
    del apart["film"].x, apart["film"].x_names
    assert join_domains(apart)["item"].x[2].tolist() == [0.0, 0.0]


def test_what_cannot_be_told_apart() -> None:
    graph = from_frame(_table())
    with pytest.raises(DataError, match=r"1 of 3 items have no domain \(first: \['b2'\]\)"):
        with_domains(graph, {"f1": "film", "b1": "book"})
    with pytest.raises(DataError, match="'f1' comes twice"):
        with_domains(graph, pd.Series(["film", "book"], index=["f1", "f1"]))
    with pytest.raises(DataError, match="have no domains"):
        split_domains(graph)
    with pytest.raises(DataError, match="called 'user'"):
        split_domains(with_domains(graph, dict.fromkeys(DOMAINS, "user")))


def test_what_cannot_be_joined() -> None:
    with pytest.raises(DataError, match="no \\('user', 'rates', T\\) edges"):
        join_domains(HeteroData())
    apart = split_domains(_joined())
    del apart["user", "rates", "film"].rating
    with pytest.raises(DataError, match="some types of edges have a rating"):
        join_domains(apart)
    apart["film"].id_map = IdMap(["b1"])
    with pytest.raises(DataError, match="'b1' is in two domains"):
        join_domains(apart)
