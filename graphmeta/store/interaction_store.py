"""A store of interactions: a folder of memory-mapped arrays that grows by appending."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
import torch
from torch_geometric.data import HeteroData

from graphmeta.data.bipartite_graph import bipartite_graph
from graphmeta.data.folder_lock import locked
from graphmeta.data.id_map import IdMap
from graphmeta.data.whole_file import write_whole
from graphmeta.errors import ConfigError, DataError, OutputError
from graphmeta.store.compact import compact
from graphmeta.store.event_source import (
    EventSource,
    OnDamaged,
    file_source,
    table_source,
)
from graphmeta.store.events import Columns, read_whole_files, write_query
from graphmeta.store.id_column import IdColumn, read_ids
from graphmeta.store.ingest import Known, ingest
from graphmeta.store.new_folder import new_folder
from graphmeta.store.segment import Segment, SegmentFiles
from graphmeta.store.store_manifest import MANIFEST, StoreManifest, read_manifest, write_manifest

Source = str | Path | Sequence[str | Path] | Iterable[pd.DataFrame]


@dataclass(frozen=True)
class InteractionStore:
    """Interactions on disk, by user and by item, for graphs that outgrow a table in memory.

    `build` streams files, an SQL query or tables into compressed rows; `open` maps them, which
    takes no time and no memory, and processes that open the same store share its pages; `append`
    adds what came since, without building again. Samplers take a store in a graph's place.

    Row numbers of users and items stay as they are when more is appended. All writing is to a new
    folder that takes its place at the end, so that a kill or a full disk leaves what was there.

    Args:
        path: The folder.
        manifest: What it holds.
        segments: The interactions, in the order in which they came.
        user_ids: The users' ids.
        item_ids: The items' ids.
    """

    path: Path
    manifest: StoreManifest
    segments: tuple[Segment, ...]
    user_ids: IdColumn
    item_ids: IdColumn

    @classmethod
    def build(
        cls,
        path: str | Path,
        source: Source | None = None,
        *,
        query: str | None = None,
        user: str = "user",
        item: str = "item",
        rating: str | None = None,
        time: str | None = None,
        min_rating: float | None = None,
        on_damaged: OnDamaged = "error",
        memory: str = "1GB",
    ) -> Self:
        """Build a store in a new folder, and open it.

        Ids are whole numbers or strings. Of interactions with the same pair the first is kept.
        The same source gives the same bytes.

        Args:
            path: The folder; there must be none yet.
            source: Parquet or CSV files (a file, a folder, a pattern or several of them), or
                tables that arrive one after the other, such as `pandas.read_sql(chunksize=)`.
            query: In their place an SQL query that DuckDB runs, once; it may name files.
            user: Column with user ids.
            item: Column with item ids.
            rating: Column with ratings, or None.
            time: Column with numbers or dates, or None.
            min_rating: Lowest rating that counts as an interaction.
            on_damaged: What to do about files that are cut short: "error", or "skip" them;
                `skipped` then names them.
            memory: The most that sorting may take; what does not fit goes to disk.

        Raises:
            DataNotFoundError: There is no such file.
            DataError: The interactions cannot be read, or used.
            ConfigError: An option has a value that cannot work.
            OutOfMemoryError: Sorting needs more than `memory`.
            OutputError: The folder exists, or cannot be written.
        """
        path = Path(path)
        if path.exists():
            raise OutputError(f"{path} exists; open it, append to it or choose another folder")
        if min_rating is not None and rating is None:
            raise ConfigError("min_rating needs ratings; name the rating column with rating=")
        columns = Columns(user=user, item=item, rating=rating, time=time, min_rating=min_rating)
        known = Known(IdColumn([]), IdColumn([]))
        with new_folder(path) as folder:
            files = _ingest(source, query, columns, known, folder / "0000", on_damaged, memory)
            if min(files.new_users, files.new_items) < 2:
                raise DataError("there is one user or one item only; ranking needs at least two")
            manifest = StoreManifest(columns=columns, segments=(files,))
            write_whole(folder / MANIFEST, partial(write_manifest, manifest=manifest))
        return cls.open(path)

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Open a store, at the same cost whatever its size.

        Raises:
            DataNotFoundError: There is no store there.
            DataError: It was written by another version, or a file is missing or cut short.
        """
        path = Path(path)
        manifest = read_manifest(path)
        try:
            return cls._of_manifest(path, manifest)
        except DataError:
            if read_manifest(path) == manifest:
                raise
            return cls.open(path)  # It was merged meanwhile, and its old files removed.

    @classmethod
    def _open_as_it_was(cls, path: Path, n_segments: int, digest: str) -> Self:
        """Open a store as it was before any appends since.

        Args:
            path: The folder.
            n_segments: How many segments there were.
            digest: That of the manifest.

        Raises:
            DataNotFoundError: There is no store there.
            DataError: It was merged or built again since, or is damaged.
        """
        found = read_manifest(path)
        manifest = found.model_copy(update={"segments": found.segments[:n_segments]})
        if manifest.digest != digest:
            raise DataError(
                f"{path} was merged or built again since it was opened; open it again, and make "
                "anew the samplers and loaders that read it"
            )
        return cls._of_manifest(path, manifest)

    @classmethod
    def _of_manifest(cls, path: Path, manifest: StoreManifest) -> Self:
        parts = {
            kind: IdColumn(
                [
                    read_ids(
                        path / files.folder / f"{kind}_id.arrow", getattr(files, f"new_{kind}s")
                    )
                    for files in manifest.segments
                    if getattr(files, f"new_{kind}s")
                ]
            )
            for kind in ("user", "item")
        }
        segments = tuple(Segment.open(path / f.folder, f) for f in manifest.segments if f.arrays)
        return cls(path, manifest, segments, parts["user"], parts["item"])

    def append(
        self,
        source: Source | None = None,
        *,
        query: str | None = None,
        on_damaged: OnDamaged = "error",
        memory: str = "1GB",
    ) -> Self:
        """Add interactions that came since, and return the store with them.

        It costs what the new interactions and the list of ids cost. Pairs that are known already
        are left out. Stores that are open go on to show what they showed.

        Args:
            source: As for `build`, with the same columns.
            query: As for `build`.
            on_damaged: As for `build`.
            memory: As for `build`.

        Raises:
            DataNotFoundError: There is no such file.
            DataError: The interactions cannot be read, or used.
            OutOfMemoryError: Sorting needs more than `memory`.
            OutputError: The store cannot be written, or another process writes or wrote to it.
        """
        known = Known(self.user_ids, self.item_ids, self.segments)
        columns, target = self.manifest.columns, self._next_folder
        with self._alone():
            with new_folder(target) as folder:
                files = _ingest(source, query, columns, known, folder / "new", on_damaged, memory)
                for file in (folder / "new").iterdir():
                    file.rename(folder / file.name)
                (folder / "new").rmdir()
                # What a kill left, untold by the manifest.
                shutil.rmtree(target, ignore_errors=True)
            files = files.model_copy(update={"folder": target.name})
            return self._with_segments([*self.manifest.segments, files])

    def compact(self) -> Self:
        """Merge all segments into one, which sampling reads faster, and return the store.

        It costs what writing all interactions costs. Row numbers stay as they are; edges are
        numbered anew, by user and item. Stores that are open go on to show what they showed.

        Raises:
            OutputError: The store cannot be written, or another process writes or wrote to it.
        """
        if len(self.segments) == 1:
            return self
        target = self._next_folder
        with self._alone():
            with new_folder(target) as folder:
                files = compact(
                    self.segments, folder, num_users=self.num_users, num_items=self.num_items
                )
                shutil.rmtree(target, ignore_errors=True)
            old = [files for files in self.manifest.segments if files.arrays]
            # Their ids stay where they are.
            segments = [
                f.model_copy(update={"arrays": {}, "num_edges": 0}) for f in self.manifest.segments
            ]
            files = files.model_copy(update={"folder": target.name})
            store = self._with_segments([*segments, files])
        for one in old:
            for name in one.arrays:
                (self.path / one.folder / f"{name}.bin").unlink(missing_ok=True)
        return store

    @property
    def _next_folder(self) -> Path:
        return self.path / f"{len(self.manifest.segments):04d}"

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other writers out.

        Raises:
            OutputError: There is one, or there was one since this store was opened.
        """
        with locked(self.path) as is_ours:
            if not is_ours:
                raise OutputError(f"another process writes to {self.path}; wait for it")
            if type(self).open(self.path).manifest != self.manifest:
                raise OutputError(f"{self.path} was written to meanwhile; open it and try again")
            yield

    def _with_segments(self, segments: Sequence[SegmentFiles]) -> Self:
        """Write the manifest anew, from when on the store has these segments."""
        manifest = self.manifest.model_copy(update={"segments": tuple(segments)})
        write_whole(self.path / MANIFEST, partial(write_manifest, manifest=manifest))
        return type(self).open(self.path)

    def __reduce__(self) -> tuple[Callable[..., InteractionStore], tuple[Path, int, str]]:
        """Open the store anew, as it was, in another process, which then shares its pages."""
        manifest = self.manifest
        return type(self)._open_as_it_was, (
            self.path.resolve(),
            len(manifest.segments),
            manifest.digest,
        )

    @property
    def num_users(self) -> int:
        """Number of users."""
        return len(self.user_ids)

    @property
    def num_items(self) -> int:
        """Number of items."""
        return len(self.item_ids)

    @property
    def num_edges(self) -> int:
        """Number of interactions."""
        return sum(segment.num_edges for segment in self.segments)

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays, ids excepted."""
        return sum(
            array.length * np.dtype(array.dtype).itemsize
            for files in self.manifest.segments
            for array in files.arrays.values()
        )

    @property
    def skipped(self) -> tuple[str, ...]:
        """Damaged files that were left out."""
        return tuple(name for files in self.manifest.segments for name in files.skipped)

    def verify(self) -> None:
        """Read everything.

        Raises:
            DataError: A file is not what was written.
        """
        for files in self.manifest.segments:
            for name, array in files.arrays.items():
                array.verify(self.path / files.folder / f"{name}.bin")

    def to_graph(self) -> HeteroData:
        """Return all interactions as a graph in memory, edges by segment, user and item."""
        edge_index = np.empty((2, self.num_edges), np.int64)  # Filled in place: it is the largest.
        ratings, times, end = [], [], 0
        for segment in self.segments:
            start, end = end, end + len(segment.user_item)
            edge_index[0, start:end] = np.repeat(segment.user, np.diff(segment.user_pointer))
            edge_index[1, start:end] = segment.user_item
            ratings.append(segment.rating)
            times.append(segment.time)
        return bipartite_graph(
            torch.from_numpy(edge_index),
            user_ids=_id_map(self.user_ids),
            item_ids=_id_map(self.item_ids),
            rating=_joined(ratings),
            time=_joined(times),
        )


def _ingest(
    source: Source | None,
    query: str | None,
    columns: Columns,
    known: Known,
    folder: Path,
    on_damaged: OnDamaged,
    memory: str,
) -> SegmentFiles:
    if (source is None) == (query is None):
        raise ConfigError("give either a source or a query=")
    if on_damaged not in ("error", "skip"):
        raise ConfigError(f"on_damaged={on_damaged!r} must be 'error' or 'skip'")
    folder.parent.mkdir(parents=True, exist_ok=True)
    if query is not None:
        events: EventSource = write_query(query, columns, folder.parent, memory=memory)
    elif isinstance(source, str | Path) or (
        isinstance(source, Sequence) and all(isinstance(part, str | Path) for part in source)
    ):
        events = file_source(source, columns.names, on_damaged)
    else:
        tables: Iterable[pd.DataFrame] = source  # type: ignore[assignment]
        if isinstance(tables, pd.DataFrame):
            tables = [tables]
        events = table_source(tables, columns.names, folder.parent)

    def read(some: EventSource) -> SegmentFiles:
        shutil.rmtree(folder, ignore_errors=True)  # What reading a damaged file left.
        return ingest(some, columns, known, folder, memory=memory)

    files = read_whole_files(events, columns, on_damaged, read)
    for name in ("tables.parquet", "query.parquet"):
        (folder.parent / name).unlink(missing_ok=True)
    return files


def _id_map(column: IdColumn) -> IdMap:
    return IdMap(column.to_ids(torch.arange(len(column))))


def _joined(parts: Sequence[np.ndarray | None]) -> torch.Tensor | None:
    found = [part for part in parts if part is not None]
    return torch.from_numpy(np.concatenate(found)) if found else None
