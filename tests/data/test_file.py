import duckdb
import pandas as pd
import pytest

from graphmeta.data import from_file, from_frame, from_sql, read_file
from graphmeta.errors import DataError, DataNotFoundError

FRAME = pd.DataFrame({"user": [1, 1, 2], "item": ["x", "y", "y"], "stars": [1.0, 2.0, 3.0]})


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_file_gives_the_graph_of_its_frame(tmp_path, suffix):
    path = tmp_path / f"r.{suffix}"
    FRAME.to_csv(path, index=False) if suffix == "csv" else FRAME.to_parquet(path)
    graph, expected = from_file(path, rating="stars"), from_frame(FRAME, rating="stars")
    for node in ("user", "item"):
        assert graph[node].id_map.ids.tolist() == expected[node].id_map.ids.tolist()
    store = graph["user", "rates", "item"]
    assert store.edge_index.equal(expected["user", "rates", "item"].edge_index)
    assert store.rating.tolist() == [1, 2, 3]


def test_sql_reads_the_tables_of_a_connection():
    with duckdb.connect() as connection:
        connection.register("ratings", FRAME)
        graph = from_sql("SELECT * FROM ratings", connection=connection)
        assert graph["user", "rates", "item"].edge_index.tolist() == [[0, 0, 1], [0, 1, 1]]
        with pytest.raises(DataError, match="SQL query failed"):
            from_sql("SELECT nothing FROM nowhere", connection=connection)


def test_a_parquet_file_cut_in_half_is_named(tmp_path):
    path = tmp_path / "half.parquet"
    FRAME.to_parquet(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match=r"cannot read .*half\.parquet"):
        from_file(path)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_name_that_looks_like_a_pattern(tmp_path, suffix):
    for name, frame in (("day1", FRAME), ("day[1]", FRAME.assign(user=[7, 8, 9]))):
        path = tmp_path / f"{name}.{suffix}"
        frame.to_csv(path, index=False) if suffix == "csv" else frame.to_parquet(path)
    assert read_file(path)["user"].tolist() == [7, 8, 9]


def test_missing_file_and_column(tmp_path):
    with pytest.raises(DataNotFoundError, match="no file"):
        from_file(tmp_path / "none.csv")
    path = tmp_path / "r.csv"
    FRAME.to_csv(path, index=False)
    with pytest.raises(DataError, match=r"no column 'star'.*did you mean 'stars'"):
        from_file(path, rating="star")
