"""Ranks parts in worker processes, with Ray Data."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from graphmeta import errors
from graphmeta.bulk.part_ranker import PartRanker, PartTask
from graphmeta.cluster.ray_cluster import ray_cluster, refuse_too_many
from graphmeta.errors import (
    DistributedError,
    GraphMetaError,
    OutOfMemoryError,
    OutputError,
)

# A part whose worker dies is begun so often; a part that kills every worker ends the job.
TRIES = 4


def rank_with_ray(
    task: PartTask, parts: Sequence[int], workers: int | None
) -> Iterator[tuple[int, bytes, int]]:
    """Yield each part's number, its file and the process that ranked it, as they are ready.

    A cluster that the caller is connected to is used; else one is started on this machine and
    stopped at the end. Several machines must all see the bundle and the histories at their paths.

    What Ray Data does: it keeps a pool of workers that hold the model, starts killed ones again,
    and ranks again what they had begun. What it does not: `read_parquet` may join and cut files as
    it likes, so a row here is the number of a part, which the worker reads itself; and
    `write_parquet` names files by the run and leaves those of a failed one, so the caller is sent
    the file, and as the only one who writes, writes each once.

    Args:
        task: What the parts have in common.
        parts: Which parts.
        workers: How many processes; None for as many as there are processors.

    Raises:
        ConfigError: The cluster has fewer processors.
        DistributedError: Workers died again and again.
        OutputError: The disk is full.
        OutOfMemoryError: Workers need more memory than there is.
    """
    import ray.data
    import ray.exceptions

    shutil.rmtree(_tries_folder(task), ignore_errors=True)
    try:
        _tries_folder(task).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write {_tries_folder(task)}: {error.strerror}") from error
    with ray_cluster(workers) as processors:
        size = min(workers or processors, len(parts))
        refuse_too_many(size, processors)
        with _quiet_data():
            numbers = [{"part": part} for part in parts]
            rows = ray.data.from_items(numbers, override_num_blocks=len(parts)).map_batches(
                Worker,
                batch_size=1,
                batch_format="pyarrow",
                compute=ray.data.ActorPoolStrategy(size=size),
                fn_constructor_args=(task, TRIES),
                num_cpus=1,
            )
            try:
                for row in rows.iter_rows():
                    if row["error"]:
                        raise _error_of(row)
                    yield row["part"], row["content"], row["worker"]
            except ray.exceptions.OutOfMemoryError as error:
                raise OutOfMemoryError(
                    "Ray stopped workers since the machine has no memory left; run it again with "
                    "fewer workers"
                ) from error
            except (ray.exceptions.ActorDiedError, ray.exceptions.WorkerCrashedError) as error:
                raise DistributedError(
                    f"Ray cannot keep workers alive ({_first_line(error)}); run it again to go on"
                ) from error


class Worker:
    """One process of the pool.

    Args:
        task: What the parts have in common.
        tries: How often a part may be begun.
    """

    def __init__(self, task: PartTask, tries: int) -> None:
        self._tries, self._folder = tries, _tries_folder(task)
        # The model is read with the first part: what goes wrong then can be told.
        self._ranker = PartRanker(task)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Return the file of one part, or what is wrong."""
        (part,) = batch["part"].to_pylist()
        content, name, told = b"", "", ""
        try:
            self._count_try(part)
            content = self._ranker.rank(part)
        except GraphMetaError as error:
            # As a value: Ray wraps what is raised, and its releases differ in how.
            name, told = type(error).__name__, str(error)
        return pa.table(
            {
                "part": [part],
                "content": pa.array([content], pa.large_binary()),
                "worker": [os.getpid()],
                "error": [name],
                "told": [told],
            }
        )

    def _count_try(self, part: int) -> None:
        """Write down that a part is begun: Ray Data itself would try again for ever."""
        begun = self._folder / str(part)
        try:
            with begun.open("ab") as file:
                file.write(b"x")
            n = begun.stat().st_size
        except OSError as error:
            raise OutputError(f"cannot write {begun}: {error.strerror}") from error
        if n > self._tries:
            raise DistributedError(
                f"workers died {self._tries} times on part {part}, perhaps for want of memory; run "
                "it again with fewer workers to go on"
            )


def _tries_folder(task: PartTask) -> Path:
    return task.histories.with_name("tries")


def _error_of(row: dict[str, Any]) -> GraphMetaError:
    error: GraphMetaError = getattr(errors, row["error"])(row["told"])
    return error


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]


@contextlib.contextmanager
def _quiet_data() -> Iterator[None]:
    """Keep Ray Data from drawing progress bars and telling its plan, for a while."""
    import ray.data

    context, logger = ray.data.DataContext.get_current(), logging.getLogger("ray.data")
    before = context.enable_progress_bars, logger.level
    context.enable_progress_bars = False
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        context.enable_progress_bars = before[0]
        logger.setLevel(before[1])
