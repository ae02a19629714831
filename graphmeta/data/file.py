"""Readers of Parquet, CSV and SQL: DuckDB serves all three."""

from __future__ import annotations

from collections.abc import Sequence
from glob import escape
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
from torch_geometric.data import HeteroData

from graphmeta.data.table import Features, from_frame, require_columns
from graphmeta.errors import DataError, DataNotFoundError

_READERS = {
    ".parquet": "read_parquet(?)",
    ".pq": "read_parquet(?)",
    ".csv": "read_csv(?)",
    ".tsv": "read_csv(?, delim='\t')",
    ".gz": "read_csv(?)",
}


def read_file(path: str | Path, *, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Read a Parquet or CSV file, only the named columns.

    Raises:
        DataNotFoundError: There is no such file.
        DataError: The file cannot be read as what its suffix says, or lacks a column.
    """
    path = Path(path)
    if not path.is_file():
        raise DataNotFoundError(f"no file {path}; check the path")
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"{path} is neither Parquet nor CSV; name it {', '.join(_READERS)}")
    if path.stat().st_size == 0:
        raise DataError(f"{path} is an empty file; write it again")
    name = [escape(str(path))]  # DuckDB takes "[1]" for a pattern.
    with duckdb.connect() as connection:
        connection.execute("SET enable_progress_bar = false")
        try:
            source = f"SELECT {{}} FROM {reader}"
            present = connection.execute(f"{source.format('*')} LIMIT 0", name).description
            if columns is not None:
                require_columns([column[0] for column in present], columns)
            wanted = "*" if columns is None else ", ".join(map(_quoted, dict.fromkeys(columns)))
            frame: pd.DataFrame = connection.execute(source.format(wanted), name).df()
        except duckdb.Error as error:
            first = str(error).splitlines()[0]
            raise DataError(f"cannot read {path} (cut short or damaged?): {first}") from error
    return frame


def from_file(
    path: str | Path,
    *,
    user: str = "user",
    item: str = "item",
    rating: str | None = None,
    time: str | None = None,
    min_rating: float | None = None,
    user_features: Features | None = None,
    item_features: Features | None = None,
) -> HeteroData:
    """Read interactions from a Parquet or CSV file; see `from_frame` for the options.

    Raises:
        DataNotFoundError: There is no such file.
        DataError: The file is damaged, or its content cannot be used.
    """
    columns = [c for c in (user, item, rating, time) if c is not None]
    return from_frame(
        read_file(path, columns=columns),
        user=user,
        item=item,
        rating=rating,
        time=time,
        min_rating=min_rating,
        user_features=user_features,
        item_features=item_features,
    )


def from_sql(
    query: str,
    *,
    connection: Any = None,
    user: str = "user",
    item: str = "item",
    rating: str | None = None,
    time: str | None = None,
    min_rating: float | None = None,
    user_features: Features | None = None,
    item_features: Features | None = None,
) -> HeteroData:
    """Read interactions with an SQL query that DuckDB runs; see `from_frame` for the options.

    Args:
        query: An SQL query; it may name files, as in `SELECT * FROM 'ratings.parquet'`.
        connection: An open DuckDB connection with your tables; else an empty database.
        user: Column with user ids.
        item: Column with item ids.
        rating: Column with ratings, or None.
        time: Column with numbers or dates, or None.
        min_rating: Lowest rating that counts as an interaction.
        user_features: Features of users.
        item_features: Features of items.

    Raises:
        DataError: The query fails, or its result cannot be used.
    """
    database = connection
    if database is None:
        database = duckdb.connect()
        database.execute("SET enable_progress_bar = false")
    try:
        frame: pd.DataFrame = database.execute(query).df()
    except duckdb.Error as error:
        raise DataError(f"the SQL query failed: {str(error).splitlines()[0]}") from error
    finally:
        if connection is None:
            database.close()
    return from_frame(
        frame,
        user=user,
        item=item,
        rating=rating,
        time=time,
        min_rating=min_rating,
        user_features=user_features,
        item_features=item_features,
    )


def _quoted(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'
