"""Workers that are killed change nothing in what is written."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from graphmeta.bulk import PartRanked, rank_in_bulk, ray_workers
from graphmeta.bulk.part_ranker import PartTask
from graphmeta.bulk.ray_workers import Worker
from graphmeta.errors import ConfigError, DataError, DistributedError

ray = pytest.importorskip("ray")

OPTIONS: dict[str, Any] = {"k": 5, "part_users": 20}


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*"))}


def test_a_cluster_of_ones_own_is_stopped_with_the_job(
    bundle: Path, histories: Path, tmp_path: Path
) -> None:
    class Stopped(Exception):
        pass

    def stop(part: PartRanked) -> None:
        assert part.worker != os.getpid()
        raise Stopped

    # The exception holds what was going on, which must have ended all the same.
    with pytest.raises(Stopped):
        rank_in_bulk(bundle, histories, tmp_path / "out", **OPTIONS, workers=1, on_part=stop)
    assert not ray.is_initialized()
    assert "RAY_USAGE_STATS_ENABLED" not in os.environ
    rank_in_bulk(bundle, histories, tmp_path / "out", **OPTIONS, workers=0)
    rank_in_bulk(bundle, histories, tmp_path / "here", **OPTIONS, workers=0)
    assert content(tmp_path / "out") == content(tmp_path / "here")


@pytest.fixture(scope="module")
def cluster(start_cluster: Callable[..., AbstractContextManager[None]]) -> Iterator[None]:
    """A cluster of the caller's, with two processors."""
    with start_cluster():
        yield


@pytest.mark.usefixtures("cluster")
def test_a_killed_worker_changes_nothing(bundle: Path, histories: Path, tmp_path: Path) -> None:
    rank_in_bulk(bundle, histories, tmp_path / "here", **OPTIONS, workers=0)
    workers: list[int] = []

    def kill(part: PartRanked) -> None:
        if not workers:
            os.kill(part.worker, signal.SIGKILL)
        workers.append(part.worker)

    report = rank_in_bulk(
        bundle, histories, tmp_path / "killed", **OPTIONS, workers=2, on_part=kill
    )
    assert report.parts_now == report.parts == 15 == len(workers)
    # Whoever took the killed one's place is another process.
    assert len(set(workers)) >= 2
    assert content(tmp_path / "killed") == content(tmp_path / "here")
    assert ray.is_initialized()


@pytest.mark.usefixtures("cluster")
def test_a_part_that_kills_every_worker_ends_the_job(
    bundle: Path, histories: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killer:
        def rank(self, part: int) -> bytes:
            import os
            import signal

            os.kill(os.getpid(), signal.SIGKILL)
            return b""

    class Doomed(Worker):
        def __init__(self, task: PartTask, tries: int) -> None:
            super().__init__(task, tries)
            self._ranker = Killer()  # type: ignore[assignment]

    monkeypatch.setattr(ray_workers, "TRIES", 1)
    monkeypatch.setattr(ray_workers, "Worker", Doomed)
    with pytest.raises(DistributedError, match=r"workers died 1 times on part \d+, perhaps"):
        rank_in_bulk(bundle, histories, tmp_path, **OPTIONS, workers=1)
    assert not [*tmp_path.glob("part-*")]


@pytest.mark.usefixtures("cluster")
def test_what_a_worker_cannot_do_is_told(
    bundle: Path, histories: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Spoilt:
        def __init__(self, task: object, tries: int) -> None:
            pass

        def __call__(self, batch: pa.Table) -> pa.Table:
            import pyarrow

            row = {"part": 0, "content": b"", "worker": 1, "error": "DataError", "told": "spoilt"}
            return pyarrow.Table.from_pylist([row])

    monkeypatch.setattr(ray_workers, "Worker", Spoilt)
    with pytest.raises(DataError, match="spoilt"):
        rank_in_bulk(bundle, histories, tmp_path, **OPTIONS, workers=1)
    with pytest.raises(ConfigError, match="workers=3 exceeds the 2 processors"):
        rank_in_bulk(bundle, histories, tmp_path, **OPTIONS, workers=3)


def test_a_worker_returns_what_is_wrong_as_a_value(bundle: Path, tmp_path: Path) -> None:
    def told(worker: Worker) -> str:
        (row,) = worker(pa.table({"part": [3]})).to_pylist()
        assert (row["part"], row["content"], row["worker"]) == (3, b"", os.getpid())
        return f"{row['error']}: {row['told']}"

    worker = Worker(PartTask(bundle, "other", tmp_path / "histories.parquet", 5, 16), 1)
    assert told(worker).startswith("OutputError: cannot write")
    (tmp_path / "tries").mkdir()
    assert "no longer the model" in told(worker)
    assert told(worker).startswith("DistributedError: workers died 1 times on part 3")
