"""Streams interactions into the arrays of a segment; DuckDB numbers ids and sorts on disk."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy.sparse import csr_array

from graphmeta.errors import DataError
from graphmeta.store.array_file import ArrayFile, ArrayWriter, write_array
from graphmeta.store.event_source import EventSource
from graphmeta.store.events import Columns, Events, event_database
from graphmeta.store.id_column import IdColumn, write_ids
from graphmeta.store.segment import Segment, SegmentFiles

ROWS_AT_ONCE = 2**20


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
    file, spill = str(scratch / "ids.duckdb"), scratch / "spilled"
    with event_database(file, spill=spill, memory=memory) as database:
        events = Events(database, source, columns)
        if not events.check():
            reason = " was given; give at least one row"
            if columns.min_rating is not None:
                reason = f" reaches min_rating={columns.min_rating:g}; lower it"
            raise DataError(f"no interaction{reason}")
        sizes = []
        for kind, ids in (("user", known.user_ids), ("item", known.item_ids)):
            new = _number(events, kind, ids)
            write_ids(folder / f"{kind}_id.arrow", new)
            sizes.append(len(ids) + len(new))
        _sort(events, scratch / "sorted.parquet")
    arrays = write_by_user(_new(scratch / "sorted.parquet", known), folder, columns.fields)
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


def _number(events: Events, kind: str, known: IdColumn) -> pa.Array:
    """Number the ids of a kind in a table of their own, and return those not known yet."""
    is_text, parts = events.is_text(kind), known.parts
    if parts and pa.types.is_integer(parts[0].type) == is_text:
        raise DataError(
            f"column {getattr(events.columns, kind)!r} holds {events.type_of(kind)}, but the store "
            f"has ids of {parts[0].type}; convert the column"
        )
    run, start = events.run, 0
    run(f"CREATE TABLE {kind}_row (id {'VARCHAR' if is_text else 'BIGINT'}, row INTEGER)")
    for part in parts:
        rows = pa.array(np.arange(start, start + len(part), dtype=np.int32))
        events.database.register("known", pa.table({"id": part, "row": rows}))
        run(f"INSERT INTO {kind}_row SELECT id, row FROM known")
        start += len(part)
    run(
        f"CREATE TABLE new_{kind} AS SELECT DISTINCT {kind}_id AS id FROM {events.relation} "
        f"WHERE {kind}_id NOT IN (SELECT id FROM {kind}_row)"
    )
    new = events.database.execute(f"SELECT id FROM new_{kind} ORDER BY id").fetchnumpy()["id"]
    run(
        f"INSERT INTO {kind}_row SELECT id, ({start} + row_number() OVER (ORDER BY id) - 1) "
        f"FROM new_{kind}"
    )
    return pa.array(new, pa.large_string() if is_text else pa.int64())


def _sort(events: Events, path: Path) -> None:
    """Write the interactions as row numbers, by user, item and place."""
    wanted = ", ".join(["u.row AS user", "i.row AS item", *events.columns.fields])
    to = str(path).replace("'", "''")
    events.run(
        f"COPY (SELECT {wanted} FROM {events.relation} e "
        "JOIN user_row u ON e.user_id = u.id JOIN item_row i ON e.item_id = i.id "
        f"ORDER BY u.row, i.row, place) TO '{to}' (FORMAT parquet, COMPRESSION uncompressed)"
    )


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
