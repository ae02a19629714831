import numpy as np
import pandas as pd
import pytest

from graphmeta.data import feature_matrix, from_frame, read_file
from graphmeta.errors import ConfigError, DataError


def frame():
    return pd.DataFrame(
        {"user": [7, 3, 7, 7], "item": ["b", "a", "a", "b"], "rating": [5, 2, 3, 1]}
    ).assign(time=[1.0, 2.0, 3.0, 4.0])


def test_rows_become_edges_by_first_appearance():
    graph = from_frame(frame(), rating="rating", time="time")
    assert graph["user"].id_map.ids.tolist() == [7, 3]
    assert graph["item"].id_map.ids.tolist() == ["b", "a"]
    forward, reverse = graph["user", "rates", "item"], graph["item", "rev_rates", "user"]
    assert forward.edge_index.tolist() == [[0, 1, 0], [0, 1, 1]]
    assert reverse.edge_index.tolist() == [[0, 1, 1], [0, 1, 0]]
    assert forward.rating.tolist() == reverse.rating.tolist() == [5, 2, 3]
    assert forward.time.tolist() == [1, 2, 3]


def test_low_ratings_are_no_interactions():
    graph = from_frame(frame(), rating="rating", min_rating=2)
    assert graph["user", "rates", "item"].rating.tolist() == [5, 2, 3]
    with pytest.raises(DataError, match="no rating reaches min_rating=9"):
        from_frame(frame(), rating="rating", min_rating=9)
    with pytest.raises(ConfigError, match="needs ratings"):
        from_frame(frame(), min_rating=3)


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        ("date32[day][pyarrow]", [86400.0, 172800.0]),
        ("timedelta64[s]", [1.0, 90.0]),
        ("duration[ns][pyarrow]", [1.0, 90.0]),
    ],
)
def test_days_and_durations_become_seconds(dtype: str, expected: list[float]) -> None:
    if dtype.startswith("date"):
        times = pd.Series(pd.to_datetime(["1970-01-02", "1970-01-03"]))
    else:
        times = pd.Series(pd.to_timedelta([1, 90], unit="s"))
    table = pd.DataFrame({"user": [1, 2], "item": [3, 4], "time": times.astype(dtype)})
    assert from_frame(table, time="time")["user", "rates", "item"].time.tolist() == expected


def test_column_labels_that_are_no_text_or_not_one() -> None:
    numbered = pd.DataFrame([[1, 3], [2, 4]])
    with pytest.raises(DataError, match="no column '0' among 0, 1; did you mean 0"):
        from_frame(numbered, user="0", item="1")
    twice = pd.DataFrame([[1, 3, 3], [2, 4, 4]], columns=["user", "item", "item"])
    with pytest.raises(DataError, match="'item' is there 2 times"):
        from_frame(twice)


def test_dates_become_seconds():
    dated = frame().assign(time=pd.to_datetime(["1970-01-02"] * 4))
    assert from_frame(dated, time="time")["user", "rates", "item"].time.tolist() == [86400.0] * 3


def test_item_features_are_matched_by_id():
    features = feature_matrix(
        pd.DataFrame({"item": ["a", "b"], "genres": ["x|y", "y"], "age": [1.0, 3.0]}),
        id="item",
        numeric=["age"],
        multi_hot=["genres"],
    )
    assert features.names == ("age", "genres=x", "genres=y")
    graph = from_frame(frame(), item_features=features)
    assert graph["item"].x.tolist() == [[1, 0, 1], [-1, 1, 1]]
    with pytest.raises(DataError, match="expected \\[2, n_features\\]"):
        from_frame(frame(), item_features=np.zeros((5, 2)))


def test_rare_tokens_and_categories_are_left_out():
    table = pd.DataFrame({"item": [1, 2, 3], "tags": ["x|y|x", "y|z", None], "author": list("aab")})
    features = feature_matrix(
        table, id="item", categorical=["author"], multi_hot=["tags"], min_count=2
    )
    # A token that one item names twice is in one item.
    assert features.names == ("author=a", "tags=y")
    assert features.x.tolist() == [[1, 1], [1, 1], [0, 0]]
    with pytest.raises(DataError, match="no value of 'tags' is in min_count=3 rows; lower it"):
        feature_matrix(table, id="item", multi_hot=["tags"], min_count=3)
    with pytest.raises(DataError, match="min_count=0 must be at least 1"):
        feature_matrix(table, id="item", multi_hot=["tags"], min_count=0)


@pytest.mark.parametrize(
    ("change", "options", "match"),
    [
        ({"user": [1, None, 2, 3]}, {}, "1 of 4 ids in column 'user' are missing"),
        ({"user": [1, 1, 1, 1]}, {}, r"holds one user only \(1\)"),
        ({"item": [1, 1, 1, 1]}, {}, "holds one item only"),
        ({"user": [1.5, 2, 3, 4]}, {}, "fractional user ids"),
        ({"user": [1e20, 2e20, 3, 4]}, {}, r"'user' holds user ids as floats of 2\*\*53 or more"),
        ({"item": [-(2.0**53), 2, 3, 4]}, {}, "'item' holds item ids as floats of 2"),
        (
            {"user": np.array([2**63 + 5, 1, 2, 3], np.uint64)},
            {},
            rf"ids beyond int64 \(largest: {2**63 + 5}\); give them as strings",
        ),
        (
            {"item": pd.Series([2**63, 1, 2, 3], dtype="UInt64").astype("category")},
            {},
            "ids beyond int64",
        ),
        ({"time": [0, -1, 2, 3]}, {"time": "time"}, "time column 'time' is negative in 1 of 4"),
        ({"time": [0, np.inf, 2, 3]}, {"time": "time"}, "not finite in 1 of 4 rows"),
        ({"rating": ["1", "good", "2", "3"]}, {"rating": "rating"}, "not numeric .*'good'"),
        ({}, {"rating": "ratings"}, "did you mean 'rating'"),
    ],
)
def test_bad_input_is_one_clear_line(change, options, match):
    with pytest.raises(DataError, match=match):
        from_frame(frame().assign(**change), **options)


def test_the_largest_ids():
    users = np.array([2**63 - 1, 2**53 + 1, 2**53, 0], np.uint64)
    graph = from_frame(frame().assign(user=users, item=[2.0**53 - 1, -7, 0, 1]))
    assert graph["user"].id_map.ids.tolist() == users.tolist()
    assert graph["item"].id_map.ids.tolist() == [2**53 - 1, -7, 0, 1]


@pytest.mark.parametrize("kind", [list, tuple, set, np.array])
def test_lists_are_tokens(kind):
    tags = [kind(["y", "x|z"]), kind(["x|z"]), kind([]), None, "y|w"]
    table = pd.DataFrame({"item": [1, 2, 3, 4, 5], "tags": pd.Series(tags, dtype=object)})
    features = feature_matrix(table, id="item", multi_hot=["tags"])
    assert features.names == ("tags=w", "tags=x|z", "tags=y")
    assert features.x.tolist() == [[0, 1, 1], [0, 1, 0], [0, 0, 0], [0, 0, 0], [1, 0, 1]]
    with pytest.raises(DataError, match="feature column 'tags' holds lists; name it in multi_hot"):
        feature_matrix(table, id="item", categorical=["tags"])


def test_lists_from_a_file(tmp_path):
    table = pd.DataFrame({"item": [1, 2], "tags": [["a", "b"], ["b"]]})
    table.to_parquet(tmp_path / "items.parquet")
    table = read_file(tmp_path / "items.parquet")
    features = feature_matrix(table, id="item", multi_hot=["tags"])
    assert features.names == ("tags=a", "tags=b")
    assert features.x.tolist() == [[1, 1], [0, 1]]


def test_a_constant_column_is_zero() -> None:
    table = pd.DataFrame({"item": range(1000), "share": 0.1})
    assert not feature_matrix(table, id="item", numeric=["share"]).x.any()


def test_a_missing_date_is_the_mean():
    dates = pd.to_datetime(["2001-01-01", None, "2001-01-03"])
    features = feature_matrix(
        pd.DataFrame({"item": [1, 2, 3], "date": dates}), id="item", numeric=["date"]
    )
    assert features.x.flatten().tolist() == pytest.approx([-1, 0, 1])


def test_an_empty_table_is_refused():
    with pytest.raises(DataError, match="empty"):
        from_frame(frame()[:0])
