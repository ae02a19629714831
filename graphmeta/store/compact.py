"""Merges the segments of a store into one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphmeta.store.ingest import ROWS_AT_ONCE, write_by_item, write_by_user
from graphmeta.store.segment import Segment, SegmentFiles


def compact(
    segments: Sequence[Segment], folder: Path, *, num_users: int, num_items: int
) -> SegmentFiles:
    """Write the interactions of all segments as one segment in `folder`, without new ids."""
    arrays = write_by_user(_by_user(segments, num_users), folder, _fields(segments))
    write_by_item(folder, arrays, num_users=num_users, num_items=num_items)
    return SegmentFiles(
        folder=folder.name,
        new_users=0,
        new_items=0,
        num_edges=arrays["user_item"].length,
        arrays=arrays,
    )


def _fields(segments: Sequence[Segment]) -> list[str]:
    return [name for name in ("rating", "time") if getattr(segments[0], name) is not None]


def _by_user(segments: Sequence[Segment], num_users: int) -> Iterator[dict[str, NDArray[Any]]]:
    """Yield the interactions of one range of users after the other, by user and item."""
    n_edges = sum(segment.num_edges for segment in segments)
    n_ranges = max(1, -(-n_edges // ROWS_AT_ONCE))
    ends = np.linspace(0, num_users, min(num_users, n_ranges) + 1).astype(int).tolist()
    for low, high in pairwise(ends):
        parts: dict[str, list[NDArray[Any]]] = {}
        for segment in segments:
            start, end = np.searchsorted(segment.user, [low, high])
            slots = slice(segment.user_pointer[start], segment.user_pointer[end])
            count = np.diff(segment.user_pointer[start : end + 1])
            parts.setdefault("user", []).append(np.repeat(segment.user[start:end], count))
            for name, source in (("item", "user_item"), ("rating", "rating"), ("time", "time")):
                if (values := getattr(segment, source)) is not None:
                    parts.setdefault(name, []).append(values[slots])
        joined = {name: np.concatenate(values) for name, values in parts.items()}
        order = np.lexsort((joined["item"], joined["user"]))
        if len(order):
            yield {name: values[order] for name, values in joined.items()}
