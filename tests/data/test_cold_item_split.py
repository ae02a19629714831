"""Items that are new to the catalogue."""

import pandas as pd
import pytest
import torch
from torch_geometric.data import HeteroData

from graphmeta.data import (
    feature_matrix,
    from_frame,
    planted_interactions,
    split_cold_items,
    split_cold_users,
    split_hash,
)
from graphmeta.errors import ConfigError, DataError
from graphmeta.ranking import ColdStartRecommender, evaluate
from graphmeta.ranking.baselines import ContentKNN


def _graph(n_users: int = 200) -> HeteroData:
    """Users of four tastes; the features of an item say for which taste it is."""
    table = planted_interactions(n_users)
    items = pd.DataFrame({"item": table["item"].unique()})
    items["taste"] = [f"t{int(item[1:]) % 4}" for item in items["item"]]
    features = feature_matrix(items, id="item", categorical=["taste"])
    return from_frame(table, time="time", item_features=features)


def test_new_items_have_no_edge_and_are_all_that_is_asked_for() -> None:
    graph = _graph()
    split = split_cold_items(graph, seed=0, share=0.3, k_max=3)
    ids = split.train["item"].id_map.ids
    is_new = torch.tensor([split_hash(f"0/item/{item}") < 0.3 for item in ids])
    count = split.train["user", "rates", "item"].edge_index[1].bincount(minlength=len(ids))
    assert torch.equal(count == 0, is_new)
    users = split.test
    assert users.candidates is not None
    assert torch.equal(users.candidates, is_new)
    assert bool(is_new[users.query_index].all())
    assert not bool(is_new[users.first.item_index].any())
    assert set(users.user_ids.ids) <= set(split_cold_users(graph, k_max=3).test.user_ids.ids)
    row = graph["item"].id_map.to_index(ids)
    assert torch.equal(split.train["item"].x, graph["item"].x[row])


def test_a_query_is_all_new_items_of_a_user() -> None:
    graph, table = _graph(), planted_interactions()
    users = split_cold_items(graph, seed=1, share=0.3, k_max=3).test
    for row, user in enumerate(users.user_ids.ids):
        own = table[table["user"] == user].sort_values(["time", "item"]).drop_duplicates("item")
        new = {item for item in own["item"] if split_hash(f"1/item/{item}") < 0.3}
        assert set(users.item_ids.to_ids(users.query(row))) == new
        known = [item for item in own["item"] if item not in new]
        shown = users.item_ids.to_ids(users.first.item_index[row]).tolist()
        assert set(shown) <= set(known[:4])  # Ties in time may be settled otherwise.


def test_new_items_are_ranked_by_what_is_known_of_them() -> None:
    split = split_cold_items(_graph(1000), seed=0, share=0.3, k_max=3)
    model = ColdStartRecommender(channels=8, epochs=1).fit(split.train)
    figures = {
        name: evaluate(scorer, split.test, k=(3,)).per_user.groupby("k")["ndcg@10"].mean()
        for name, scorer in (("ours", model), ("content", ContentKNN().fit(split.train)))
    }
    assert figures["ours"][3] > 0.95 * figures["content"][3]
    # Who has shown items of one taste gets a new one of it first.
    taste = split.train["item"].x.argmax(1)
    shown = taste[split.test.first.item_index]
    of_one = (shown == shown[:, :1]).all(1)
    scores = model.score(split.test.support(3)).masked_fill(~split.test.candidates, -torch.inf)
    assert int(of_one.sum()) > 5
    assert bool((taste[scores.argmax(1)] == shown[:, 0])[of_one].all())


def test_what_cannot_be_split() -> None:
    with pytest.raises(ConfigError, match=r"share=1\.0 must be"):
        split_cold_items(_graph(), share=1.0)
    with pytest.raises(DataError, match="items have no features"):
        split_cold_items(from_frame(planted_interactions()))
    with pytest.raises(DataError, match="new items"):
        split_cold_items(_graph(), k_max=90)
