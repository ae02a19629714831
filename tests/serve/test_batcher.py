"""Requests that arrive together are ranked together, in a queue with an end."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from graphmeta.errors import DataError
from graphmeta.ranking import ColdStartRecommender
from graphmeta.serve import ServedModel
from graphmeta.serve.batcher import Batcher, QueueFullError, TooSlowError
from graphmeta.serve.served_model import RankRequest
from graphmeta.serve.store import Event


@pytest.fixture(scope="module")
def served(model: ColdStartRecommender) -> ServedModel:
    return ServedModel(model)


def request(served: ServedModel, n: int, k: int = 5, niche: float = 0.0) -> RankRequest:
    events = tuple(Event(f"i{i}", "interaction", None, float(i)) for i in range(n))
    return RankRequest(events, k, served.allowed(events), niche)


def batcher(**options: Any) -> Batcher:
    return Batcher(**{"max_batch": 8, "max_queue": 8, "time_limit": 20.0, **options})


def blocked(release: threading.Event) -> Callable[[ServedModel], str]:
    """Return work that holds the thread until it is released."""

    def wait(_: ServedModel) -> str:
        release.wait(20)
        return "released"

    return wait


def test_what_waits_is_ranked_in_one_go(served: ServedModel) -> None:
    sizes: list[int] = []
    release = threading.Event()

    async def run() -> list[Any]:
        queue = batcher(on_batch=sizes.append)
        queue.start()
        first = asyncio.create_task(queue.run(served, blocked(release)))
        await asyncio.sleep(0.05)
        others = [
            asyncio.create_task(queue.rank(served, request(served, n, k)))
            for n, k in ((3, 5), (0, 3), (3, 7), (1, 1))
        ]
        await asyncio.sleep(0.05)
        assert queue.n_waiting == 4
        release.set()
        found = await asyncio.gather(first, *others)
        await queue.stop()
        return found

    found = asyncio.run(run())
    assert found[0] == "released"
    assert sizes == [4]
    alone = [served.rank([request(served, n, k)])[0] for n, k in ((3, 5), (0, 3), (3, 7), (1, 1))]
    for together, single in zip(found[1:], alone, strict=True):
        assert together.rows == single.rows
        assert together.scores == pytest.approx(single.scores, abs=1e-4)
        assert together.source == single.source


def test_a_full_queue_and_a_slow_answer_are_told(served: ServedModel) -> None:
    release = threading.Event()
    was_run = []

    async def run() -> None:
        queue = batcher(max_queue=2, time_limit=0.3)
        queue.start()
        busy = asyncio.create_task(queue.run(served, blocked(release)))
        await asyncio.sleep(0.05)
        late = asyncio.create_task(queue.run(served, was_run.append))
        waits = asyncio.create_task(queue.run(served, was_run.append))
        await asyncio.sleep(0.05)
        with pytest.raises(QueueFullError, match="2 requests wait already"):
            await queue.rank(served, request(served, 1))
        with pytest.raises(TooSlowError, match=r"not answered within 0\.3 seconds"):
            await late
        release.set()
        await asyncio.gather(busy, waits, return_exceptions=True)
        await queue.stop()

    asyncio.run(run())
    assert was_run == []  # What nobody waits for any more is not computed.


def test_one_that_fails_does_not_spoil_the_others(served: ServedModel) -> None:
    good = request(served, 3)
    bad = RankRequest(good.events, 5, good.allowed[:5])

    async def run() -> list[Any]:
        queue = batcher()
        release = threading.Event()
        queue.start()
        first = asyncio.create_task(queue.run(served, blocked(release)))
        await asyncio.sleep(0.05)
        tasks = [asyncio.create_task(queue.rank(served, one)) for one in (good, bad, good)]
        await asyncio.sleep(0.05)
        release.set()
        found = await asyncio.gather(first, *tasks, return_exceptions=True)
        with pytest.raises(ZeroDivisionError):
            await queue.run(served, lambda _: 1 / 0)
        await queue.stop()
        return found[1:]

    first, failed, second = asyncio.run(run())
    assert isinstance(failed, DataError)
    assert first.rows == second.rows == served.rank([good])[0].rows


def test_stopping_answers_what_waits(served: ServedModel) -> None:
    async def run() -> Any:
        queue = batcher()
        queue.start()
        task = asyncio.create_task(queue.rank(served, request(served, 3)))
        await asyncio.sleep(0)
        await queue.stop()
        return await task

    assert asyncio.run(run()).source == "adapted"
