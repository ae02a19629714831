"""Interactions as DuckDB sees them, checked, whatever they come from."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict

from graphmeta.errors import ConfigError, DataError, OutOfMemoryError, OutputError
from graphmeta.store.event_source import (
    EventSource,
    OnDamaged,
    damaged,
    file_literal,
    file_source,
    query_source,
    text_literal,
)

WHOLE = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER")
T = TypeVar("T")


class Columns(BaseModel):
    """Which columns hold what.

    Args:
        user: User ids.
        item: Item ids.
        rating: Ratings, or None.
        time: Numbers or dates, or None.
        min_rating: Lowest rating that counts as an interaction.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    user: str = "user"
    item: str = "item"
    rating: str | None = None
    time: str | None = None
    min_rating: float | None = None

    @property
    def names(self) -> list[str]:
        """The columns that are read."""
        return [name for name in (self.user, self.item, self.rating, self.time) if name is not None]

    @property
    def fields(self) -> list[str]:
        """Which of "rating" and "time" there are."""
        return [name for name in ("rating", "time") if getattr(self, name) is not None]


class UnreadableError(DataError):
    """DuckDB cannot read, for a reason that may lie in a file."""


@contextmanager
def event_database(file: str, *, spill: Path, memory: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a database that works within some memory, and beyond it on disk.

    Args:
        file: Its file, or ":memory:".
        spill: The folder for what does not fit.
        memory: The most that it may take.

    Raises:
        ConfigError: `memory` is no amount.
    """
    with duckdb.connect(file) as database:
        try:
            database.execute("SET enable_progress_bar = false")
            database.execute("SET temp_directory = ?", [str(spill)])
            database.execute("SET memory_limit = ?", [memory])
        except duckdb.Error as error:
            raise ConfigError(f"memory={memory!r} is no amount, such as '1GB'") from error
        yield database


class Events:
    """The interactions of a source.

    Args:
        database: Where they are read.
        source: The interactions.
        columns: Which columns hold what.

    Attributes:
        relation: What stands after `FROM`: columns user_id, item_id, place (of the row in the
            source) and perhaps rating and time.

    Raises:
        DataError: They cannot be read, a column is missing, or holds what can be no id.
    """

    def __init__(
        self, database: duckdb.DuckDBPyConnection, source: EventSource, columns: Columns
    ) -> None:
        self.database, self.columns = database, columns
        rows = self.run(f"DESCRIBE SELECT * FROM {source.relation}")
        self._types = {row[0]: row[1] for row in rows}
        for name in columns.names:
            if name not in self._types:
                raise DataError(f"no column {name!r} among {', '.join(self._types)}")
        parts = [
            f"{self._id('user')} AS user_id",
            f"{self._id('item')} AS item_id",
            "row_number() OVER () AS place",
        ]
        where = ""
        if columns.rating is not None:
            rating = f"{_name(columns.rating)}::FLOAT"
            parts.append(f"{rating} AS rating")
            if columns.min_rating is not None:
                # What is no number stays, for `check` to refuse.
                where = (
                    f" WHERE {rating} >= {columns.min_rating!r} OR {rating} IS NULL "
                    f"OR NOT isfinite({rating})"
                )
        if columns.time is not None:
            is_date = self._types[columns.time].startswith(("TIMESTAMP", "DATE"))
            time = _name(columns.time)
            parts.append(f"{f'epoch({time})' if is_date else time}::DOUBLE AS time")
        self.relation = f"(SELECT {', '.join(parts)} FROM {source.relation}{where})"

    def is_text(self, kind: str) -> bool:
        """Return whether the ids of a kind, "user" or "item", are strings."""
        found = self.type_of(kind)
        return found == "VARCHAR" or found.startswith("ENUM")

    def type_of(self, kind: str) -> str:
        """Return what the column with the ids of a kind holds, as DuckDB calls it."""
        found: str = self._types[getattr(self.columns, kind)]
        return found

    def _id(self, kind: str) -> str:
        """Return an expression for the ids, whole numbers or strings."""
        column, is_of = getattr(self.columns, kind), self.type_of(kind)
        name = _name(column)
        if self.is_text(kind):
            return f"{name}::VARCHAR"
        if is_of in WHOLE:
            return f"{name}::BIGINT"
        if is_of in ("FLOAT", "DOUBLE"):
            bad = text_literal(
                f"column {column!r} holds {kind} ids that are fractional, or floats of 2**53 or "
                "more, which are not exact; give whole numbers or strings"
            )
            return (
                f"(CASE WHEN {name} IS NULL OR isnan({name}) THEN NULL "
                f"WHEN {name} = floor({name}) AND abs({name}) < {2**53} THEN {name} "
                f"ELSE error({bad}) END)::BIGINT"
            )
        raise DataError(
            f"column {column!r} holds {is_of}; {kind} ids must be whole numbers or strings"
        )

    def check(self) -> int:
        """Check what can be told before anything is written, and return the number of rows.

        Raises:
            DataError: Ids are missing, or ratings or times cannot be used.
        """
        columns = self.columns
        asked = ["count(*)", "count(*) - count(user_id)", "count(*) - count(item_id)"]
        if columns.rating is not None:
            asked.append("count(*) - count(rating) FILTER (isfinite(rating))")
        if columns.time is not None:
            asked.append("count(*) - count(time) FILTER (isfinite(time) AND time >= 0)")
        (found,) = self.run(f"SELECT {', '.join(asked)} FROM {self.relation}")
        n, no_user, no_item, *others = (int(count) for count in found)
        for column, missing in ((columns.user, no_user), (columns.item, no_item)):
            if missing:
                raise DataError(
                    f"{missing} of {n} ids in column {column!r} are missing; drop those rows first"
                )
        what = {"rating": "not finite", "time": "not finite, or negative,"}
        for field, bad in zip(columns.fields, others, strict=True):
            if bad:
                raise DataError(
                    f"column {getattr(columns, field)!r} is {what[field]} in {bad} of {n} rows; "
                    "drop those rows first"
                )
        return n

    def run(self, query: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query.

        Raises:
            OutputError: The disk is full.
            OutOfMemoryError: It needs more memory than it may take.
            DataError: It cannot read the interactions.
        """
        try:
            return self.database.execute(query).fetchall()
        except duckdb.Error as error:
            reason = " ".join(str(error).split())
            if "No space left" in reason or "max_temp_directory_size" in reason:
                raise OutputError(f"{reason}; free space or choose another folder") from error
            if isinstance(error, duckdb.OutOfMemoryException):
                raise OutOfMemoryError(f"{reason.split(' Possible')[0]}; raise memory=") from error
            raise UnreadableError(f"cannot read the interactions: {reason[:400]}") from error


def write_query(query: str, columns: Columns, folder: Path, *, memory: str) -> EventSource:
    """Run an SQL query once, and return the file with what it gave.

    A query that samples, or cuts what has no order, gives other rows each time it runs, but the
    interactions are read several times.

    Args:
        query: The query.
        columns: Which columns hold what; others are not written.
        folder: Where the file goes.
        memory: The most that running it may take.

    Raises:
        DataError: The query fails, a column is missing, or holds what can be no id.
        ConfigError: `memory` is no amount.
        OutOfMemoryError: It needs more than `memory`.
        OutputError: The disk is full.
    """
    path, source = folder / "query.parquet", query_source(query)
    with event_database(":memory:", spill=folder / "spilled", memory=memory) as database:
        events = Events(database, source, columns)
        wanted = ", ".join(map(_name, dict.fromkeys(columns.names)))
        events.run(
            f"COPY (SELECT {wanted} FROM {source.relation}) TO {text_literal(str(path))} "
            "(FORMAT parquet)"
        )
    shutil.rmtree(folder / "spilled", ignore_errors=True)
    return EventSource(f"read_parquet({file_literal(str(path))})")


def read_whole_files(
    source: EventSource, columns: Columns, on_damaged: OnDamaged, read: Callable[[EventSource], T]
) -> T:
    """Read a source; where that fails, name or leave out the files whose rows are damaged.

    A footer, by which `file_source` goes, may be whole where the pages before it are not.

    Args:
        source: The interactions.
        columns: Which columns hold what.
        on_damaged: Whether damaged files are left out.
        read: Reads them; called once more without the damaged files.

    Raises:
        DataError: The interactions cannot be read.
    """
    try:
        return read(source)
    except UnreadableError as error:
        broken = {file: why for file in source.files if (why := _unreadable(file, columns.names))}
        if not broken:
            raise
        if on_damaged == "error":
            raise damaged(broken, len(source.files)) from error
        rest = [file for file in source.files if file not in broken]
        if not rest:
            first = next(iter(broken))
            raise DataError(f"all {len(source.files)} files are damaged; first: {first}") from error
    whole = file_source(rest, columns.names, "error")
    return read(EventSource(whole.relation, (*source.skipped, *broken), whole.files))


def _unreadable(file: str, names: list[str]) -> str:
    """Return why the rows of a Parquet file cannot be read; an empty string where they can."""
    try:
        with pq.ParquetFile(file) as opened:
            for _ in opened.iter_batches(columns=names, use_threads=False):
                pass
    except (pa.ArrowException, OSError) as error:
        return str(error).splitlines()[0].rstrip(".")
    return ""


def _name(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'
