"""External ids on disk: looked up by bisection, so that opening them costs nothing."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from graphmeta.errors import DataError, UnknownIdError


class IdColumn:
    """Maps ids to row numbers and back, like `IdMap`, without a table of them in memory.

    Ids come in parts, those of a later part after those of the earlier ones; each part ascends.

    Args:
        parts: Arrow arrays, all of int64 or all of strings.
    """

    def __init__(self, parts: Sequence[pa.Array]) -> None:
        self._parts = [part for part in parts if len(part)]
        self._ends = np.cumsum([0, *(len(part) for part in self._parts)])
        self._are_numbers = not self._parts or pa.types.is_integer(self._parts[0].type)

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __repr__(self) -> str:
        return f"IdColumn({len(self)} ids)"

    @property
    def parts(self) -> list[pa.Array]:
        """The ids, part by part."""
        return list(self._parts)

    def find(self, ids: Iterable[Any]) -> Tensor:
        """Return row numbers, -1 where an id is unknown.

        Shapes:
            output: int64, `[len(ids)]`.
        """
        wanted = ids if isinstance(ids, np.ndarray) else list(ids)
        if self._are_numbers:
            return torch.from_numpy(self._find_numbers(wanted))
        row = [self._find_string(one) for one in wanted]
        return torch.tensor(row, dtype=torch.long)

    def to_index(self, ids: Iterable[Any]) -> Tensor:
        """Return row numbers.

        Shapes:
            output: int64, `[len(ids)]`.

        Raises:
            UnknownIdError: An id is not known; the message names the first ones.
        """
        wanted = list(ids)
        index = self.find(wanted)
        unknown = (index < 0).nonzero().flatten().tolist()
        if unknown:
            names = ", ".join(repr(wanted[row]) for row in unknown[:3])
            kind = "whole numbers" if self._are_numbers else "strings"
            raise UnknownIdError(
                f"{len(unknown)} of {len(wanted)} ids are unknown (first: {names}); check their "
                f"type (the store holds {kind}) or drop them"
            )
        return index

    def to_ids(self, index: Tensor) -> NDArray[Any]:
        """Return the ids of some rows, in the shape of `index`.

        Raises:
            DataError: There is no such row.
        """
        rows = index.detach().cpu().numpy()
        outside = rows[(rows < 0) | (rows >= len(self))]
        if len(outside):
            raise DataError(
                f"row {int(outside[0])} is outside the {len(self)} rows that have ids; leave out "
                "padding and what is unknown (-1)"
            )
        out = np.empty(rows.shape, np.int64 if self._are_numbers else object)
        for part, (start, end) in zip(self._parts, pairwise(self._ends.tolist()), strict=True):
            is_here = (rows >= start) & (rows < end)
            if is_here.any():
                taken = part.take(pa.array(rows[is_here] - start))
                out[is_here] = taken.to_numpy(zero_copy_only=False)
        return out

    def _find_numbers(self, ids: Any) -> NDArray[np.int64]:
        wanted, is_number = _whole_numbers(ids)
        row = np.full(len(wanted), -1)
        for part, start in zip(self._parts, self._ends.tolist(), strict=False):
            known = part.to_numpy()
            place = np.searchsorted(known, wanted).clip(max=len(known) - 1)
            is_here = (known[place] == wanted) & is_number
            row[is_here] = place[is_here] + start
        return row

    def _find_string(self, wanted: Any) -> int:
        if not isinstance(wanted, str):
            return -1
        for part, start in zip(self._parts, self._ends.tolist(), strict=False):
            place = bisect_left(_Strings(part), wanted)
            if place < len(part) and part[place].as_py() == wanted:
                return int(start) + place
        return -1


def _whole_numbers(ids: Any) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return ids as int64, and which of them are such numbers; the others, say strings, are 0."""
    wanted = np.asarray(ids)
    if wanted.dtype.kind in "iu" and np.can_cast(wanted.dtype, np.int64):
        return wanted.astype(np.int64), np.ones(len(wanted), bool)
    is_number = np.array(
        [isinstance(one, int | np.integer) and -(2**63) <= one < 2**63 for one in ids], bool
    )
    pairs = zip(ids, is_number, strict=True)
    return np.array([int(one) if fits else 0 for one, fits in pairs], np.int64), is_number


class _Strings(Sequence[str]):
    """An Arrow array as the sequence that `bisect` reads, one string at a time."""

    def __init__(self, part: pa.Array) -> None:
        self._part = part

    def __len__(self) -> int:
        return len(self._part)

    def __getitem__(self, row: Any) -> Any:
        return self._part[row].as_py()


def write_ids(path: Path, ids: pa.Array) -> None:
    """Write ids as an Arrow file."""
    table = pa.table({"id": ids})
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks(), max_chunksize=max(1, len(ids)))


def read_ids(path: Path, length: int) -> pa.Array:
    """Map ids into memory.

    Raises:
        DataError: The file is missing, cut short or has another number of ids.
    """
    try:
        table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(
            f"{path} is missing or damaged ({str(error).splitlines()[0]}); build the store again"
        ) from error
    if len(table) != length:
        raise DataError(f"{path} holds {len(table)} ids, not {length}; build the store again")
    column = table.column("id")
    return column.chunk(0) if column.num_chunks else pa.array([], column.type)
