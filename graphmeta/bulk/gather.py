"""Gathers each user's interactions, wherever they lie; DuckDB sorts them on disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from graphmeta.data.id_map import IdMap
from graphmeta.data.whole_file import write_whole
from graphmeta.errors import DataError, UnknownIdError
from graphmeta.store.event_source import EventSource, OnDamaged, file_source
from graphmeta.store.events import Columns, Events, event_database, read_whole_files

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
    if not source.files:
        raise DataError(f"the histories {histories} are not Parquet files; convert them")
    return source


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

    def read(some: EventSource) -> Gathered:
        spill = out.with_name("spilled")
        with event_database(":memory:", spill=spill, memory=memory) as database:
            events = Events(database, some, columns)
            events.check()
            _refuse_other_ids(events, item_ids)
            ((users,),) = events.run(f"SELECT count(DISTINCT user_id) FROM {events.relation}")
            unknown = _unknown(events, on_unknown)
            parts = max(1, -(-int(users) // part_users))
            write_whole(out, lambda path: _sort(events, path, parts))
        return Gathered(int(users), parts, unknown, some.skipped)

    return read_whole_files(source, columns, on_damaged, read)


def _refuse_other_ids(events: Events, item_ids: IdMap) -> None:
    """Make the catalogue's ids a table, where the interactions have ids of that kind."""
    ids = pa.array(item_ids.ids)
    is_text = pa.types.is_string(ids.type) or pa.types.is_large_string(ids.type)
    if is_text != events.is_text("item"):
        raise DataError(
            f"column {events.columns.item!r} holds {events.type_of('item')}, but the model's item "
            f"ids are {'strings' if is_text else ids.type}; convert the column"
        )
    events.database.register("catalogue", pa.table({"id": ids}))


def _unknown(events: Events, on_unknown: str) -> int:
    """Return how many interactions are with items that are not in the catalogue.

    Raises:
        UnknownIdError: There are some, and `on_unknown` is "raise".
    """
    where = f"FROM {events.relation} WHERE item_id NOT IN (SELECT id FROM catalogue)"
    ((n,),) = events.run(f"SELECT count(*) {where}")
    if n and on_unknown == "raise":
        rows = events.run(f"SELECT DISTINCT item_id {where} ORDER BY item_id LIMIT 3")
        first = ", ".join(repr(row[0]) for row in rows)
        raise UnknownIdError(
            f"histories: {n} interactions are with items that the model does not know (first: "
            f"{first}); on_unknown='drop' leaves them out"
        )
    return int(n)


def _sort(events: Events, path: Path, parts: int) -> None:
    """Write the interactions by part, user and place."""
    to = str(path).replace("'", "''")
    wanted = ", ".join(["user_id AS user", "item_id AS item", *events.columns.fields])
    events.run(
        f"COPY (SELECT md5_number_lower(user_id::VARCHAR) % {parts} AS part, {wanted} "
        f"FROM {events.relation} ORDER BY part, user_id, place) TO '{to}' "
        f"(FORMAT parquet, ROW_GROUP_SIZE {ROW_GROUP})"
    )


def read_part(path: Path, part: int) -> tuple[pd.DataFrame, pa.DataType]:
    """Return a part's interactions by user, each user's oldest first, and the type of user ids."""
    table = pq.read_table(path, filters=[("part", "==", part)], use_threads=False)
    return table.drop_columns(["part"]).to_pandas(), table.schema.field("user").type
