"""Ranks the users of one part."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from graphmeta.bulk.bulk_folder import digest
from graphmeta.bulk.gather import read_part
from graphmeta.errors import DataError, OutOfMemoryError
from graphmeta.ranking import ColdStartRecommender
from graphmeta.ranking.histories import Histories, histories_of_table
from graphmeta.ranking.rank_histories import rank_histories

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class PartTask:
    """What ranking a part takes, but for its number.

    Args:
        bundle: The file of the model.
        bundle_digest: Its SHA-256, so that all parts are ranked by the same model.
        histories: The gathered interactions.
        k: How many items each user gets.
        batch_users: How many users are ranked at once.
    """

    bundle: Path
    bundle_digest: str
    histories: Path
    k: int
    batch_users: int


class PartRanker:
    """Ranks parts with a model that is read once, when it is first needed.

    Args:
        task: What the parts have in common.
    """

    def __init__(self, task: PartTask) -> None:
        self._task = task
        self._model: ColdStartRecommender | None = None

    def rank(self, part: int) -> bytes:
        """Return a part as a Parquet file: the same bytes each time.

        A score's last bits depend on who is ranked along and on how many threads there are. So
        batches follow from the part alone, and one thread computes.

        Raises:
            DataNotFoundError: The bundle is gone.
            DataError: It has changed, or the gathered interactions cannot be read.
            OutOfMemoryError: Ranking needs more memory than is free.
        """
        try:
            with _one_thread():
                return self._rank(part)
        except (MemoryError, RuntimeError) as error:
            if not isinstance(error, MemoryError) and "memory" not in str(error).lower():
                raise
            raise OutOfMemoryError(
                f"ranking {self._task.batch_users} users at once needs more memory than is free; "
                "run it again with fewer workers, or in another folder with a lower batch_users"
            ) from error

    def _rank(self, part: int) -> bytes:
        task = self._task
        if self._model is None:
            self._model = ColdStartRecommender.load(task.bundle)
            if digest(task.bundle) != task.bundle_digest:
                raise DataError(
                    f"{task.bundle} is no longer the model that the ranking was begun with; put "
                    "it back, or rank into another folder"
                )
        try:
            table, user_type = read_part(task.histories, part)
        except (OSError, pa.ArrowException) as error:
            first = str(error).splitlines()[0]
            raise DataError(
                f"cannot read the gathered {task.histories} ({first}); remove the folder "
                f"{task.histories.parent} and run it again"
            ) from error
        return _to_parquet(self._ranked(self._model, table, user_type))

    def _ranked(self, model: ColdStartRecommender, table: Any, user_type: pa.DataType) -> pa.Table:
        named = {name: name for name in ("rating", "time") if name in table}
        # What is unknown was told, or refused, before the first part.
        histories = histories_of_table(
            table, model.item_ids, user="user", item="item", on_unknown="drop", **named
        )
        n_users, n_items = len(histories.users), len(model.item_ids)
        scorer = replace(model.fitted, batch_size=self._task.batch_users)
        n_known = np.bincount(histories.known["user"], minlength=n_users)
        # Whoever has seen nearly all is shown what is left.
        n_shown = np.minimum(self._task.k, n_items - n_known)
        source = [scorer.source(known) for known in n_known.tolist()]
        items: list[Array] = [np.empty(0, np.int64)] * n_users
        scores: list[Array] = [np.empty(0, np.float32)] * n_users
        allowed = torch.ones(n_items, dtype=torch.bool)
        for k in np.unique(n_shown[n_shown > 0]).tolist():
            some = np.flatnonzero(n_shown == k)
            for block in rank_histories(scorer, _of(histories, some), k=k, allowed=allowed):
                users = some[block.users].tolist()
                for user, best, score in zip(users, block.items, block.scores, strict=True):
                    items[user], scores[user] = best.numpy(), score.numpy()
        offsets = np.cumsum([0, *map(len, items)]).astype(np.int32)
        rows = np.concatenate([np.empty(0, np.int64), *items])
        flat = np.concatenate([np.empty(0, np.float32), *scores])
        ids = pa.array(model.item_ids.ids).take(pa.array(rows))
        return pa.table(
            {
                "user": pa.array(histories.users.to_numpy(), user_type),
                "items": pa.ListArray.from_arrays(offsets, ids),
                "scores": pa.ListArray.from_arrays(offsets, pa.array(flat)),
                "source": pa.array(source, pa.string()),
                "n_known": pa.array(n_known.astype(np.int32)),
            }
        )


def _of(histories: Histories, users: Array) -> Histories:
    """Return the histories of some users; `users` are their numbers in ascending order."""
    known = histories.known[np.isin(histories.known["user"], users)]
    known = known.assign(user=users.searchsorted(known["user"])).reset_index(drop=True)
    return Histories(histories.users[users], known)


def _to_parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
