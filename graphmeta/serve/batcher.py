"""Requests that arrive together are computed together, in a queue of bounded length."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from graphmeta.serve.served_model import Ranked, RankRequest, ServedModel

T = TypeVar("T")


class QueueFullError(Exception):
    """More requests wait than the queue holds."""


class TooSlowError(Exception):
    """A request was not answered within the time limit."""


@dataclass(frozen=True)
class _Job:
    """Something to compute: a request to rank, or anything else of a model."""

    served: ServedModel
    work: RankRequest | Callable[[ServedModel], Any]
    answer: asyncio.Future[Any]


class Batcher:
    """Computes in one thread, whatever waits at a time in one go.

    While a batch is computed the next one gathers: nobody waits for company that may not come, and
    the more arrive the less each one costs.

    Args:
        max_batch: Most jobs at once.
        max_queue: Most jobs that wait.
        time_limit: Seconds until a job is given up; it is not computed any more.
        on_batch: Called with the size of each batch of rankings.
    """

    def __init__(
        self,
        *,
        max_batch: int,
        max_queue: int,
        time_limit: float,
        on_batch: Callable[[int], None] = lambda size: None,
    ) -> None:
        self._max_batch, self._time_limit, self._on_batch = max_batch, time_limit, on_batch
        self._queue: asyncio.Queue[_Job] = asyncio.Queue(max_queue)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="graphmeta")
        self._worker: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to compute, in the running event loop."""
        self._worker = asyncio.get_running_loop().create_task(self._work())

    async def stop(self) -> None:
        """Compute what waits, and end."""
        if self._worker is not None:
            await self._queue.join()
            self._worker.cancel()
            await asyncio.gather(self._worker, return_exceptions=True)
        self._thread.shutdown()

    @property
    def n_waiting(self) -> int:
        """How many jobs wait."""
        return self._queue.qsize()

    async def rank(self, served: ServedModel, request: RankRequest) -> Ranked:
        """Return what a model ranks for one user.

        Raises:
            QueueFullError: Too many requests wait.
            TooSlowError: The time limit is over.
        """
        ranked: Ranked = await self._submit(served, request)
        return ranked

    async def run(self, served: ServedModel, work: Callable[[ServedModel], T]) -> T:
        """Return what `work` makes of a model, computed in turn with the rankings.

        Raises:
            QueueFullError: Too many requests wait.
            TooSlowError: The time limit is over.
        """
        found: T = await self._submit(served, work)
        return found

    async def _submit(
        self, served: ServedModel, work: RankRequest | Callable[[ServedModel], Any]
    ) -> Any:
        job = _Job(served, work, asyncio.get_running_loop().create_future())
        try:
            self._queue.put_nowait(job)
        except asyncio.QueueFull as error:
            raise QueueFullError(f"{self._queue.maxsize} requests wait already") from error
        try:
            async with asyncio.timeout(self._time_limit):
                return await job.answer
        except TimeoutError as error:
            raise TooSlowError(f"not answered within {self._time_limit:g} seconds") from error

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            jobs = [await self._queue.get()]
            while len(jobs) < self._max_batch and not self._queue.empty():
                jobs.append(self._queue.get_nowait())
            # A future is cancelled where its request gave up.
            wanted = [job for job in jobs if not job.answer.done()]
            for some in _batches(wanted):
                answers = await loop.run_in_executor(self._thread, _answers, some)
                if isinstance(some[0].work, RankRequest):
                    self._on_batch(len(some))
                for job, answer in zip(some, answers, strict=True):
                    if job.answer.done():
                        continue
                    if isinstance(answer, Exception):
                        job.answer.set_exception(answer)
                    else:
                        job.answer.set_result(answer)
            for _ in jobs:
                self._queue.task_done()


def _batches(jobs: Sequence[_Job]) -> list[list[_Job]]:
    """Return the rankings of one model together, and all other jobs alone."""
    together: dict[int, list[_Job]] = {}
    alone = []
    for job in jobs:
        if isinstance(job.work, RankRequest):
            together.setdefault(id(job.served), []).append(job)
        else:
            alone.append([job])
    return [*together.values(), *alone]


def _answers(jobs: Sequence[_Job]) -> list[Any]:
    """Return results or what was raised; one broken ranking does not spoil the others'."""
    requests = [job.work for job in jobs if isinstance(job.work, RankRequest)]
    if len(requests) > 1:
        try:
            return list(jobs[0].served.rank(requests))
        except Exception:
            return [answer for job in jobs for answer in _answers([job])]
    try:
        job = jobs[0]
        if isinstance(job.work, RankRequest):
            return list(job.served.rank([job.work]))
        return [job.work(job.served)]
    except Exception as error:
        return [error]
