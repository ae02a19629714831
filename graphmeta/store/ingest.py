"""Streams interactions into the arrays of a segment; DuckDB numbers ids and sorts on disk."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from scipy.sparse import csr_array

from graphmeta.errors import ConfigError, DataError, OutOfMemoryError, OutputError
from graphmeta.store.array_file import ArrayFile, ArrayWriter, write_array
from graphmeta.store.event_source import EventSource
from graphmeta.store.id_column import IdColumn, write_ids
from graphmeta.store.segment import Segment, SegmentFiles

ROWS_AT_ONCE = 2**20
WHOLE = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER")


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


@dataclass(frozen=True)
class Known:
    """What a store holds already.

    Args:
        user_ids: Ids of users.
        item_ids: Ids of items.
        segments: The interactions.
    """

    user_ids: IdColumn
    item_ids: IdColumn
    segments: Sequence[Segment] = ()

    def has(self, user: NDArray[Any], item: NDArray[Any]) -> NDArray[np.bool_]:
        """Return which pairs of rows are interactions already."""
        found = np.zeros(len(user), bool)
        for segment in self.segments:
            found |= segment.has(user, item)
        return found


def ingest(
    source: EventSource, columns: Columns, known: Known, folder: Path, *, memory: str
) -> SegmentFiles:
    """Write the interactions that are not known yet as the segment in `folder`.

    Users and items that are not known are numbered after those that are, in the order of their
    ids. Of interactions with the same pair the first is kept. Of what grows with the interactions
    only one array of row numbers, and of where each came from, is held in memory.

    Raises:
        DataError: The interactions cannot be read, or used; see `from_frame`.
        ConfigError: `memory` is no amount.
        OutOfMemoryError: DuckDB needs more than `memory`.
        OutputError: The disk is full.
    """
    scratch = folder / "scratch"
    scratch.mkdir(parents=True)
    with duckdb.connect(str(scratch / "ids.duckdb")) as database:
        try:
            database.execute("SET enable_progress_bar = false")
            database.execute("SET temp_directory = ?", [str(scratch / "spilled")])
            database.execute("SET memory_limit = ?", [memory])
        except duckdb.Error as error:
            raise ConfigError(f"memory={memory!r} is no amount, such as '1GB'") from error
        events = _Events(database, source, columns)
        events.check()
        sizes = []
        for kind, ids in (("user", known.user_ids), ("item", known.item_ids)):
            new = events.number(kind, ids)
            write_ids(folder / f"{kind}_id.arrow", new)
            sizes.append(len(ids) + len(new))
        events.sort(scratch / "sorted.parquet")
    fields = [name for name in ("rating", "time") if getattr(columns, name) is not None]
    arrays = write_by_user(_new(scratch / "sorted.parquet", known), folder, fields)
    shutil.rmtree(scratch)
    write_by_item(folder, arrays, num_users=sizes[0], num_items=sizes[1])
    return SegmentFiles(
        folder=folder.name,
        new_users=sizes[0] - len(known.user_ids),
        new_items=sizes[1] - len(known.item_ids),
        num_edges=arrays["user_item"].length,
        arrays=arrays,
        skipped=source.skipped,
    )


class _Events:
    """The interactions of a source as DuckDB sees them."""

    def __init__(
        self, database: duckdb.DuckDBPyConnection, source: EventSource, columns: Columns
    ) -> None:
        self._database, self._columns = database, columns
        rows = self._run(f"DESCRIBE SELECT * FROM {source.relation}")
        types = {row[0]: row[1] for row in rows}
        for name in columns.names:
            if name not in types:
                raise DataError(f"no column {name!r} among {', '.join(types)}")
        self._types = types
        parts = [
            f"{self._id('user')} AS user_id",
            f"{self._id('item')} AS item_id",
            "row_number() OVER () AS place",
        ]
        where = ""
        if columns.rating is not None:
            parts.append(f"{_name(columns.rating)}::FLOAT AS rating")
            if columns.min_rating is not None:
                where = f" WHERE {_name(columns.rating)}::FLOAT >= {columns.min_rating!r}"
        if columns.time is not None:
            is_date = types[columns.time].startswith(("TIMESTAMP", "DATE"))
            time = _name(columns.time)
            parts.append(f"{f'epoch({time})' if is_date else time}::DOUBLE AS time")
        self._relation = f"(SELECT {', '.join(parts)} FROM {source.relation}{where})"

    def _id(self, kind: str) -> str:
        """Return an expression for the ids, whole numbers or strings."""
        column = getattr(self._columns, kind)
        name, is_of = _name(column), self._types[column]
        if is_of == "VARCHAR":
            return name
        if is_of in WHOLE:
            return f"{name}::BIGINT"
        if is_of in ("FLOAT", "DOUBLE"):
            # Text that is no number: the cast fails, and says so.
            return f"(CASE WHEN {name} = floor({name}) THEN {name} ELSE 'x' END)::BIGINT"
        raise DataError(
            f"column {column!r} holds {is_of}; {kind} ids must be whole numbers or strings"
        )

    def check(self) -> None:
        """Check what can be told before anything is written.

        Raises:
            DataError: There is no interaction, or ids, ratings or times cannot be used.
        """
        columns = self._columns
        asked = ["count(*)", "count(*) - count(user_id)", "count(*) - count(item_id)"]
        if columns.rating is not None:
            asked.append("count(*) - count(rating) FILTER (isfinite(rating))")
        if columns.time is not None:
            asked.append("count(*) - count(time) FILTER (isfinite(time) AND time >= 0)")
        (found,) = self._run(f"SELECT {', '.join(asked)} FROM {self._relation}")
        n, no_user, no_item, *others = found
        if not n:
            reason = ""
            if columns.min_rating is not None:
                reason = f" reaches min_rating={columns.min_rating:g}; lower it"
            raise DataError(f"no interaction{reason or ' was given; give at least one row'}")
        for column, missing in ((columns.user, no_user), (columns.item, no_item)):
            if missing:
                raise DataError(
                    f"{missing} of {n} ids in column {column!r} are missing; drop those rows first"
                )
        unusable = [columns.rating] if columns.rating is not None else []
        unusable += [columns.time] if columns.time is not None else []
        for column, bad in zip(unusable, others, strict=True):
            if bad:
                what = "not finite" if column == columns.rating else "not finite, or negative,"
                raise DataError(
                    f"column {column!r} is {what} in {bad} of {n} rows; drop those rows first"
                )

    def number(self, kind: str, known: IdColumn) -> pa.Array:
        """Number the ids of a kind in a table of their own, and return those not known yet."""
        is_text = self._types[getattr(self._columns, kind)] == "VARCHAR"
        parts = known.parts
        if parts and pa.types.is_integer(parts[0].type) == is_text:
            raise DataError(
                f"column {getattr(self._columns, kind)!r} holds "
                f"{'strings' if is_text else 'numbers'}, but the store has ids of "
                f"{parts[0].type}; convert the column"
            )
        self._run(f"CREATE TABLE {kind}_row (id {'VARCHAR' if is_text else 'BIGINT'}, row INTEGER)")
        start = 0
        for part in parts:
            rows = pa.array(np.arange(start, start + len(part), dtype=np.int32))
            self._database.register("known", pa.table({"id": part, "row": rows}))
            self._run(f"INSERT INTO {kind}_row SELECT id, row FROM known")
            start += len(part)
        self._run(
            f"CREATE TABLE new_{kind} AS SELECT DISTINCT {kind}_id AS id FROM {self._relation} "
            f"WHERE {kind}_id NOT IN (SELECT id FROM {kind}_row)"
        )
        new = self._database.execute(f"SELECT id FROM new_{kind} ORDER BY id").fetchnumpy()["id"]
        ids = pa.array(new, pa.large_string() if is_text else pa.int64())
        self._run(
            f"INSERT INTO {kind}_row SELECT id, ({start} + row_number() OVER (ORDER BY id) - 1) "
            f"FROM new_{kind}"
        )
        return ids

    def sort(self, path: Path) -> None:
        """Write the interactions as row numbers, by user, item and place."""
        extra = [name for name in ("rating", "time") if getattr(self._columns, name) is not None]
        wanted = ", ".join(["u.row AS user", "i.row AS item", *extra])
        self._run(
            f"COPY (SELECT {wanted} FROM {self._relation} e "
            "JOIN user_row u ON e.user_id = u.id JOIN item_row i ON e.item_id = i.id "
            f"ORDER BY u.row, i.row, place) TO '{str(path).replace(chr(39), chr(39) * 2)}' "
            "(FORMAT parquet, COMPRESSION uncompressed)"
        )

    def _run(self, query: str) -> list[tuple[Any, ...]]:
        try:
            return self._database.execute(query).fetchall()
        except duckdb.Error as error:
            reason = " ".join(str(error).split())
            if "No space left" in reason or "max_temp_directory_size" in reason:
                raise OutputError(f"{reason}; free space or choose another folder") from error
            if isinstance(error, duckdb.OutOfMemoryException):
                raise OutOfMemoryError(f"{reason.split(' Possible')[0]}; raise memory=") from error
            raise DataError(f"cannot read the interactions: {reason[:400]}") from error


def write_by_user(
    batches: Iterable[dict[str, NDArray[Any]]], folder: Path, fields: Sequence[str]
) -> dict[str, ArrayFile]:
    """Write the users' rows and what belongs to each interaction.

    Args:
        batches: Interactions by user and item: `user`, `item` and the fields.
        folder: Where the arrays go.
        fields: Which of "rating" and "time" there are.
    """
    types = {"user_item": "<i4", "rating": "<f4", "time": "<f8"}
    users, counts = [np.empty(0, np.int32)], [np.empty(0, np.int64)]
    with ExitStack() as stack:
        writers = {
            name: stack.enter_context(ArrayWriter(folder / f"{name}.bin", types[name]))
            for name in ("user_item", *fields)
        }
        for batch in batches:
            for name, writer in writers.items():
                writer.write(batch[name.removeprefix("user_")])
            user, count = np.unique(batch["user"], return_counts=True)
            users.append(user)
            counts.append(count)
        arrays = {name: writer.finish() for name, writer in writers.items()}
    row, count = np.concatenate(users), np.concatenate(counts)
    if len(row):  # A user at the end of one batch may go on in the next.
        first = np.concatenate([[True], row[1:] != row[:-1]])
        row, count = row[first], np.add.reduceat(count, first.nonzero()[0])
    arrays["user"] = write_array(folder / "user.bin", row.astype("<i4"))
    arrays["user_pointer"] = write_array(folder / "user_pointer.bin", _pointer(count))
    return arrays


def _new(path: Path, known: Known) -> Iterator[dict[str, NDArray[Any]]]:
    """Yield sorted interactions, the first of each pair, less those that are known."""
    last = (-1, -1)
    with pq.ParquetFile(path, memory_map=True) as file:
        for batch in file.iter_batches(ROWS_AT_ONCE, use_threads=False):
            part = {name: batch[name].to_numpy() for name in batch.schema.names}
            user, item = part["user"], part["item"]
            is_new = np.empty(len(user), bool)
            is_new[0] = (user[0], item[0]) != last
            is_new[1:] = (user[1:] != user[:-1]) | (item[1:] != item[:-1])
            last = (user[-1], item[-1])
            if known.segments:
                is_new &= ~known.has(user, item)
            yield {name: values[is_new] for name, values in part.items()}


def write_by_item(
    folder: Path, arrays: dict[str, ArrayFile], *, num_users: int, num_items: int
) -> None:
    """Write the items' rows, by transposing those of the users."""
    user, pointer, item = (
        arrays[name].open(folder / f"{name}.bin") for name in ("user", "user_pointer", "user_item")
    )
    keeps_slot = "rating" in arrays or "time" in arrays
    n = len(item)
    number = np.int32 if n < 2**31 else np.int64  # SciPy's rows and columns are of one type.
    slot: NDArray[Any] = np.arange(n, dtype=number) if keeps_slot else np.zeros(n, np.int8)
    by_user = (slot, item.astype(number, copy=False), pointer.astype(number))
    by_item = csr_array(by_user, shape=(len(user), num_items), copy=False).tocsc()
    del slot, by_user
    row = np.flatnonzero(np.diff(by_item.indptr))
    arrays["item"] = write_array(folder / "item.bin", row.astype("<i4"))
    count = np.diff(by_item.indptr)[row]
    arrays["item_pointer"] = write_array(folder / "item_pointer.bin", _pointer(count))
    parts = range(0, n, ROWS_AT_ONCE)
    with ArrayWriter(folder / "item_user.bin", "<i4") as writer:
        for start in parts:
            writer.write(user[by_item.indices[start : start + ROWS_AT_ONCE]])
        arrays["item_user"] = writer.finish()
    if keeps_slot:
        with ArrayWriter(folder / "item_slot.bin", "<i8") as writer:
            for start in parts:
                writer.write(by_item.data[start : start + ROWS_AT_ONCE])
            arrays["item_slot"] = writer.finish()


def _pointer(count: NDArray[Any]) -> NDArray[np.int64]:
    return np.concatenate([[0], count.cumsum()]).astype("<i8")


def _name(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'
