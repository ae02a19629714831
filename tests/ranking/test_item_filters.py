"""Items by what is known of them."""

import pandas as pd
import pytest
from torch_geometric.data import HeteroData

from graphmeta.data import IdMap, from_frame, planted_interactions
from graphmeta.errors import ConfigError, DataError
from graphmeta.ranking import ColdStartRecommender
from graphmeta.ranking.item_filters import aligned_table, matching_items

FILMS = pd.DataFrame(
    {
        "item": [3, 1, 2, 9],
        "genres": ["Drama|War", "Comedy", None, "War"],
        "year": [1990, 2001, None, 1999],
        "tags": [["a", "b"], ["b"], [], None],
    }
)


def matching(**filters: object) -> list[int]:
    table = aligned_table(FILMS, IdMap([1, 2, 3, 4]), item="item")
    return [i + 1 for i in matching_items(table, filters).nonzero().flatten().tolist()]


def test_a_table_is_put_in_the_order_of_the_catalogue() -> None:
    table = aligned_table(FILMS, IdMap([1, 2, 3, 4]), item="item")
    assert list(table.columns) == ["genres", "year", "tags"]
    assert list(table["genres"].fillna("-")) == ["Comedy", "-", "Drama|War", "-"]


def test_filters_by_hand() -> None:
    assert matching() == [1, 2, 3, 4]
    assert matching(genres="War") == [3]
    assert matching(genres="Drama|War") == [3]
    assert matching(genres=["War", "Comedy"]) == [1, 3]
    assert matching(genres=[]) == []
    assert matching(tags="b") == [1, 3]
    assert matching(tags=["a", "c"]) == [3]
    assert matching(year=2001) == [1]
    assert matching(year={"min": 1990}) == [1, 3]
    assert matching(year={"max": 2000}) == [3]
    assert matching(year={"min": 1991, "max": 2001}, genres="Comedy") == [1]
    assert matching(year={"min": 1991}, genres="War") == []


def test_bad_filters() -> None:
    with pytest.raises(ConfigError, match="no column 'genre' to filter by among genres, year"):
        matching(genre="War")
    for bad in ({}, {"from": 1}):
        with pytest.raises(ConfigError, match="is no range; give 'min', 'max' or both"):
            matching(year=bad)
    with pytest.raises(ConfigError, match="does not compare with"):
        matching(year={"min": "old"})
    with pytest.raises(ConfigError, match="call describe_items"):
        matching_items(None, {"year": 2000})


def test_bad_tables() -> None:
    ids = IdMap([1, 2])
    with pytest.raises(DataError, match="no column 'id' among item"):
        aligned_table(FILMS, ids, item="id")
    with pytest.raises(DataError, match="needs a column besides the ids"):
        aligned_table(FILMS[["item"]], ids, item="item")
    with pytest.raises(DataError, match="id 1 appears twice"):
        aligned_table(pd.DataFrame({"item": [1, 1], "a": [0, 0]}), ids, item="item")
    with pytest.raises(DataError, match="no id of column 'item' is in the catalogue"):
        aligned_table(FILMS.astype({"item": str}), IdMap(["x", "y"]), item="item")


def test_a_recommender_keeps_what_is_known(tmp_path_factory: pytest.TempPathFactory) -> None:
    graph: HeteroData = from_frame(planted_interactions(), time="time")
    ids = list(graph["item"].id_map.ids)
    films = pd.DataFrame({"film": ids, "title": [f"The {i}" for i in ids], "year": range(len(ids))})
    model = ColdStartRecommender(channels=8, epochs=0).fit(graph)
    with pytest.raises(ConfigError, match="call describe_items"):
        model.recommend(ids[:2], filters={"year": 3})
    model.describe_items(films, item="film")
    path = tmp_path_factory.mktemp("bundle") / "film.gm"
    model.save(path)
    loaded = ColdStartRecommender.load(path)
    assert loaded.item_table is not None
    pd.testing.assert_frame_equal(loaded.item_table, model.item_table, check_dtype=False)
    found = loaded.recommend(ids[:2], 3, filters={"year": {"min": 20, "max": 25}})
    assert set(found.items) <= set(ids[20:26])
    assert (
        found.items
        == tuple(i for i, _ in model.recommend(ids[:2], len(ids) - 2) if i in ids[20:26])[:3]
    )
    table = pd.DataFrame({"user": [1, 1], "item": ids[:2]})
    by_table = loaded.recommend_table(table, 3, filters={"year": {"min": 20, "max": 25}})
    assert tuple(by_table["item"]) == found.items
    with pytest.raises(ConfigError, match=r"k=7 is outside 1\.\.6, the items left"):
        loaded.recommend(ids[:2], 7, filters={"year": {"min": 20, "max": 25}})
    assert model.fit(graph).item_table is None


def test_a_table_that_cannot_be_saved(tmp_path_factory: pytest.TempPathFactory) -> None:
    graph: HeteroData = from_frame(planted_interactions())
    mixed = pd.DataFrame({"item": graph["item"].id_map.ids, "odd": [1, "a"] * 50})
    model = ColdStartRecommender(channels=8, epochs=0).fit(graph).describe_items(mixed)
    with pytest.raises(DataError, match="the item table cannot be saved"):
        model.save(tmp_path_factory.mktemp("bundle") / "film.gm")
