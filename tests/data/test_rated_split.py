"""Users whose ratings are to be put in order."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch_geometric.data import HeteroData

from graphmeta.data import (
    RatedUsers,
    from_frame,
    load_edge_column,
    load_named,
    planted_interactions,
    split_cold_users,
    split_rated_parts,
    split_rated_users,
)
from graphmeta.errors import ConfigError, DataError


def _pairs(graph: HeteroData) -> set[tuple[str, str, float]]:
    user, item = graph["user", "rates", "item"].edge_index
    ids = graph["user"].id_map.to_ids(user), graph["item"].id_map.to_ids(item)
    return set(zip(*ids, graph["user", "rates", "item"].rating.tolist(), strict=True))


def _told(graph: HeteroData, users: RatedUsers) -> tuple[set[tuple[str, str, float]], ...]:
    """Return what is shown of users and what is kept, as triples of ids and a rating."""
    ids, parts = graph["item"].id_map, []
    for item, rating in (
        (users.support.item_index, users.support.rating),
        (users.item_index, users.rating),
    ):
        assert rating is not None
        row, slot = (item >= 0).nonzero(as_tuple=True)
        who = users.user_ids.ids[row.numpy()]
        found = zip(who, ids.to_ids(item[row, slot]), rating[row, slot].tolist(), strict=True)
        parts.append(set(found))
    return tuple(parts)


def test_held_out_users_show_all_but_ten() -> None:
    graph = from_frame(planted_interactions(), rating="rating")
    split = split_rated_users(graph, seed=3)
    whole, cold = _pairs(graph), split_cold_users(graph, seed=3)
    assert split.train["item"].num_nodes == graph["item"].num_nodes
    assert set(split.test["test"].user_ids.ids) == set(cold.test.user_ids.ids)
    for users in (split.validation, split.test["test"]):
        shown, kept = _told(graph, users)
        assert users.item_index.shape == (len(users), 10)
        assert shown | kept == {pair for pair in whole if pair[0] in set(users.user_ids.ids)}
        assert not shown & kept
        assert not (shown | kept) & _pairs(split.train)
    other = split_rated_users(graph, seed=3, n_query=5).test["test"]
    assert torch.equal(other.item_index, split.test["test"].item_index[:, :5])


def test_users_with_too_few_or_too_many_ratings_are_left_out_altogether() -> None:
    table = planted_interactions(100, 200, per_user=20)
    many = pd.DataFrame({"user": "many", "item": table["item"].unique(), "rating": 3.0})
    few = table[table["user"] == "u0"].head(12).assign(user="few")
    graph = from_frame(pd.concat([table, many, few]), rating="rating")
    assert len(many) > 100
    split = split_rated_users(graph)
    parts = (split.train["user"].id_map, split.validation.user_ids, split.test["test"].user_ids)
    assert {user for part in parts for user in part.ids} == set(table["user"])


def test_the_parts_of_a_publisher() -> None:
    table = planted_interactions(n_items=120, per_user=40)
    number = table["user"].str[1:].astype(int)
    # Every item ten is new, and a fifth of the users.
    is_new = table["item"].str[1:].astype(int) % 3 == 0
    part = np.where(number % 5 == 0, "user_cold", "meta_training")
    part = np.where(is_new, "item_cold", part)
    graph = from_frame(table, rating="rating")
    split = split_rated_parts(graph, part, training="meta_training", seed=1)
    assert set(split.test) == {"user_cold", "item_cold"}
    of_part = {
        name: set(
            table[part == name][["user", "item", "rating"]].itertuples(index=False, name=None)
        )
        for name in np.unique(part)
    }
    sizes = {
        n: len(table[part == n].groupby("user").filter(lambda g: len(g) >= 13)) for n in of_part
    }
    for name, users in split.test.items():
        shown, kept = _told(graph, users)
        assert shown | kept <= of_part[name]
        assert len(shown | kept) == sizes[name]
    trained = _pairs(split.train)
    held = set(split.validation.user_ids.ids)
    assert trained == {pair for pair in of_part["meta_training"] if pair[0] not in held}
    assert 0 < len(held) < 40


def test_bad_input_is_refused() -> None:
    table = planted_interactions()
    graph = from_frame(table, rating="rating")
    with pytest.raises(DataError, match="no ratings; name their column"):
        split_rated_users(from_frame(table))
    with pytest.raises(ConfigError, match="n_query=13 must be 1 to 12"):
        split_rated_users(graph, n_query=13)
    part = np.full(len(table), "train")
    with pytest.raises(DataError, match="no rating is in part 'meta'; there are: train"):
        split_rated_parts(graph, part, training="meta")
    with pytest.raises(ConfigError, match="part has 1 names"):
        split_rated_parts(graph, part[:1], training="train")
    with pytest.raises(DataError, match="no validation user has 13 to 100 ratings"):
        split_rated_users(from_frame(planted_interactions(per_user=5), rating="rating"))


def test_a_column_of_the_edges(tmp_path: Path) -> None:
    folder = tmp_path / "filmtrust"
    folder.mkdir()
    table = pd.DataFrame(
        {"user": [1, 1, 2, 1], "item": [5, 6, 5, 5], "rating": [1.0, 2, 3, 4], "part": list("abcd")}
    )
    table.to_parquet(folder / "interactions.parquet")
    graph = load_named("filmtrust", data_root=tmp_path)
    part = load_edge_column(graph, "filmtrust", "part", data_root=tmp_path)
    assert part.tolist() == ["a", "b", "c"]  # Of a pair that is there twice, the first.
    with pytest.raises(DataError, match="parts"):
        load_edge_column(graph, "filmtrust", "parts", data_root=tmp_path)
    with pytest.raises(DataError, match="no part of some edge"):
        load_edge_column(
            from_frame(planted_interactions()), "filmtrust", "part", data_root=tmp_path
        )


def test_the_published_parts(data_root: Path) -> None:
    graph = load_named("ml-1m", data_root=data_root)
    part = load_edge_column(graph, "ml-1m", "metahin_split", data_root=data_root).to_numpy()
    split = split_rated_parts(graph, part, training="meta_training")
    assert set(split.test) == {"warm_up", "user_cold", "item_cold", "user_and_item_cold"}
    known = split.train["user", "rates", "item"].edge_index[1].unique()
    for name in ("item_cold", "user_and_item_cold"):
        assert not torch.isin(split.test[name].item_index, known).any()
    users = set(split.train["user"].id_map.ids)
    assert not users & set(split.test["user_cold"].user_ids.ids)
