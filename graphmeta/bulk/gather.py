"""Gathers each user's interactions, wherever they lie; DuckDB sorts them on disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from graphmeta.data.id_map import IdMap
from graphmeta.data.whole_file import write_whole
from graphmeta.errors import (
    ConfigError,
    DataError,
    OutOfMemoryError,
    OutputError,
    UnknownIdError,
)
from graphmeta.store.event_source import EventSource, OnDamaged, file_source
from graphmeta.store.ingest import WHOLE, Columns

# Workers read row groups: those of a part, and little more.
ROW_GROUP = 2**15


@dataclass(frozen=True)
class Gathered:
    """What the interactions come to.

    Args:
        users: How many users there are.
        parts: Into how many parts their ids put them.
        unknown: Interactions with items that are not in the catalogue.
        skipped: Damaged files that were left out.
    """

    users: int
    parts: int
    unknown: int
    skipped: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {**asdict(self), "skipped": [*self.skipped]}

    @classmethod
    def of_json(cls, found: dict[str, Any]) -> Gathered:
        """Return what `to_json` made."""
        return cls(**{**found, "skipped": tuple(found["skipped"])})


def parquet_source(
    histories: str | Path | Sequence[str | Path], columns: Columns, on_damaged: OnDamaged
) -> EventSource:
    """Return Parquet files as one relation.

    Raises:
        DataNotFoundError: There is no such file.
        DataError: A file is no Parquet file, damaged or lacks a column, or none is left.
    """
    source = file_source(histories, columns.names, on_damaged)
    if not source.relation.startswith("read_parquet("):
        raise DataError(f"histories are not Parquet files: {source.relation}; convert them")
    return source


def files_of(source: EventSource) -> list[str]:
    """Return the names of a source's files, those that are left out among them."""
    listed = source.relation.replace("read_parquet", "parquet_file_metadata", 1)
    with duckdb.connect() as database:
        rows = database.execute(f"SELECT file_name FROM {listed}").fetchall()
    return sorted({row[0] for row in rows} | set(source.skipped))


def gather(
    source: EventSource,
    columns: Columns,
    item_ids: IdMap,
    out: Path,
    *,
    on_unknown: str,
    on_damaged: OnDamaged,
    part_users: int,
    memory: str,
) -> Gathered:
    """Write all interactions by part, user and place, whole or not at all.

    A user's part follows from the id alone: the MD5 of its text, so that it is the same with any
    release of DuckDB and on any machine.

    Args:
        source: The interactions.
        columns: Which columns hold what.
        item_ids: The catalogue.
        out: The file to write, with columns part, user, item and perhaps rating and time.
        on_unknown: Whether an item that is not in the catalogue is refused ("raise").
        on_damaged: Whether a file whose rows cannot be read is left out.
        part_users: About how many users make a part.
        memory: What DuckDB may use.

    Raises:
        DataError: The interactions cannot be read, or used.
        UnknownIdError: An item is not in the catalogue, and `on_unknown` is "raise".
        ConfigError: `memory` is no amount.
        OutOfMemoryError: DuckDB needs more than `memory`.
        OutputError: The disk is full.
    """
    wanted = _Wanted(columns, item_ids, out, on_unknown, part_users, memory)
    try:
        return _written(source, wanted)
    except _UnreadableError as error:
        # A footer may be whole where the pages before it are not.
        files = [name for name in files_of(source) if name not in source.skipped]
        broken = {name: why for name in files if (why := _unreadable(name, columns.names))}
        if not broken:
            raise DataError(f"cannot read the interactions: {error}") from error
        first, why = next(iter(broken.items()))
        if on_damaged == "error":
            raise DataError(
                f"{first} is damaged ({why}); write it again, or leave such files out with "
                'on_damaged="skip"'
            ) from error
        whole = [name for name in files if name not in broken]
        if not whole:
            raise DataError(f"all {len(files)} files are damaged; first: {first}") from error
    rest = parquet_source(whole, columns, "error")
    return _written(EventSource(rest.relation, (*source.skipped, *broken)), wanted)


class _UnreadableError(Exception):
    """DuckDB cannot read, for a reason that may lie in a file."""


@dataclass(frozen=True)
class _Wanted:
    """What is to be gathered, and how; see `gather`."""

    columns: Columns
    item_ids: IdMap
    out: Path
    on_unknown: str
    part_users: int
    memory: str


def _written(source: EventSource, wanted: _Wanted) -> Gathered:
    out = wanted.out
    with duckdb.connect() as database:
        try:
            database.execute("SET enable_progress_bar = false")
            database.execute("SET temp_directory = ?", [str(out.with_name("spilled"))])
            database.execute("SET memory_limit = ?", [wanted.memory])
        except duckdb.Error as error:
            raise ConfigError(f"memory={wanted.memory!r} is no amount, such as '1GB'") from error
        try:
            events = _Events(database, source, wanted.columns, wanted.item_ids)
            users = events.check()
            unknown = events.unknown(wanted.on_unknown)
            parts = max(1, -(-users // wanted.part_users))
            write_whole(out, lambda partial: events.sort(partial, parts))
        except duckdb.Error as error:
            reason = " ".join(str(error).split())
            if "No space left" in reason or "max_temp_directory_size" in reason:
                raise OutputError(f"{reason}; free space or choose another folder") from error
            if isinstance(error, duckdb.OutOfMemoryException):
                raise OutOfMemoryError(f"{reason.split(' * ')[0]}; raise memory=") from error
            raise _UnreadableError(reason[:400]) from error
    return Gathered(users, parts, unknown, source.skipped)


class _Events:
    """The interactions of a source as DuckDB sees them."""

    def __init__(
        self,
        database: duckdb.DuckDBPyConnection,
        source: EventSource,
        columns: Columns,
        item_ids: IdMap,
    ) -> None:
        self._database, self._columns = database, columns
        types = {row[0]: row[1] for row in self._run(f"DESCRIBE SELECT * FROM {source.relation}")}
        self._types = types
        self._names = ["user", "item"]
        parts = [f"{self._id(columns.user, 'user')} AS user"]
        parts += [f"{self._id(columns.item, 'item')} AS item"]
        if columns.rating is not None:
            self._names.append("rating")
            parts.append(f"{_name(columns.rating)}::DOUBLE AS rating")
        if columns.time is not None:
            self._names.append("time")
            is_date = types[columns.time].startswith(("TIMESTAMP", "DATE"))
            time = _name(columns.time)
            parts.append(f"{f'epoch({time})' if is_date else time}::DOUBLE AS time")
        parts.append("row_number() OVER () AS place")
        self._relation = f"(SELECT {', '.join(parts)} FROM {source.relation})"
        ids = pa.array(item_ids.ids)
        is_text = pa.types.is_string(ids.type) or pa.types.is_large_string(ids.type)
        if is_text != (types[columns.item] == "VARCHAR" or types[columns.item].startswith("ENUM")):
            raise DataError(
                f"column {columns.item!r} holds {types[columns.item]}, but the model's item ids "
                f"are {'texts' if is_text else ids.type}; convert the column"
            )
        database.register("catalogue", pa.table({"id": ids}))

    def _id(self, column: str, kind: str) -> str:
        """Return an expression for ids, whole numbers or texts."""
        name, is_of = _name(column), self._types[column]
        if is_of == "VARCHAR" or is_of.startswith("ENUM"):
            return f"{name}::VARCHAR"
        if is_of in WHOLE:
            return f"{name}::BIGINT"
        if is_of in ("FLOAT", "DOUBLE"):
            # Text that is no number: the cast fails, and says so.
            return f"(CASE WHEN {name} = floor({name}) THEN {name} ELSE 'x' END)::BIGINT"
        raise DataError(
            f"column {column!r} holds {is_of}; {kind} ids must be whole numbers or texts"
        )

    def check(self) -> int:
        """Check what can be told before anything is ranked, and return how many users there are.

        Raises:
            DataError: Ids are missing, or ratings or times cannot be used.
        """
        columns = self._columns
        asked = ["count(DISTINCT user)", "count(*)"]
        asked += ["count(*) - count(user)", "count(*) - count(item)"]
        if columns.rating is not None:
            asked.append("count(*) - count(rating) FILTER (isfinite(rating))")
        if columns.time is not None:
            asked.append("count(*) - count(time) FILTER (isfinite(time) AND time >= 0)")
        (found,) = self._run(f"SELECT {', '.join(asked)} FROM {self._relation}")
        users, n, *bad = (int(count) for count in found)
        what = ["missing", "missing", "not finite", "not finite, or negative,"]
        wanted = [columns.user, columns.item, columns.rating, columns.time]
        told = [(c, w) for c, w in zip(wanted, what, strict=True) if c is not None]
        for (column, problem), count in zip(told, bad, strict=True):
            if count:
                raise DataError(
                    f"column {column!r} is {problem} in {count} of {n} rows; drop those rows first"
                )
        return users

    def unknown(self, on_unknown: str) -> int:
        """Return how many interactions are with items that are not in the catalogue.

        Raises:
            UnknownIdError: There are some, and `on_unknown` is "raise".
        """
        where = f"FROM {self._relation} WHERE item NOT IN (SELECT id FROM catalogue)"
        ((n,),) = self._run(f"SELECT count(*) {where}")
        if n and on_unknown == "raise":
            rows = self._run(f"SELECT DISTINCT item {where} ORDER BY item LIMIT 3")
            first = ", ".join(repr(row[0]) for row in rows)
            raise UnknownIdError(
                f"histories: {n} interactions are with items that the model does not know (first: "
                f"{first}); on_unknown='drop' leaves them out"
            )
        return int(n)

    def sort(self, path: Path, parts: int) -> None:
        """Write the interactions by part, user and place."""
        to = str(path).replace("'", "''")
        names = ", ".join(self._names)
        self._run(
            f"COPY (SELECT md5_number_lower(user::VARCHAR) % {parts} AS part, {names} "
            f"FROM {self._relation} ORDER BY part, user, place) TO '{to}' "
            f"(FORMAT parquet, ROW_GROUP_SIZE {ROW_GROUP})"
        )

    def _run(self, query: str) -> list[tuple[Any, ...]]:
        return self._database.execute(query).fetchall()


def read_part(path: Path, part: int) -> tuple[pd.DataFrame, pa.DataType]:
    """Return a part's interactions by user, each user's oldest first, and the type of user ids."""
    table = pq.read_table(path, filters=[("part", "==", part)], use_threads=False)
    return table.drop_columns(["part"]).to_pandas(), table.schema.field("user").type


def _unreadable(file: str, names: list[str]) -> str:
    """Return why a file's rows cannot be read; an empty string where they can."""
    try:
        with pq.ParquetFile(file) as opened:
            for _ in opened.iter_batches(columns=names, use_threads=False):
                pass
    except (pa.ArrowException, OSError) as error:
        return str(error).splitlines()[0].rstrip(".")
    return ""


def _name(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'
