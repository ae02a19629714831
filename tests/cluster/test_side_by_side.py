"""Calls in processes of Ray come to what they come to here."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from graphmeta.cluster import side_by_side
from graphmeta.errors import ConfigError, DataError, DistributedError


def test_without_workers_this_process_does_it() -> None:
    def process(factor: int, item: int) -> tuple[int, int]:
        return factor * item, os.getpid()

    with side_by_side(process, 3, workers=0) as run:
        assert run([1, 2]) == [(3, os.getpid()), (6, os.getpid())]
        assert run([]) == []


@pytest.mark.usefixtures("cluster")
def test_workers_keep_the_order_and_survive_a_kill(tmp_path: Path) -> None:
    def process(folder: Path, item: int) -> tuple[int, int]:
        begun = folder / str(item)
        if item == 1 and not begun.exists():
            begun.write_text(str(os.getpid()))
            os.kill(os.getpid(), signal.SIGKILL)
        return item, os.getpid()

    with side_by_side(process, tmp_path, workers=2) as run:
        done = run([0, 1, 2]) + run([3])
    assert [item for item, _ in done] == [0, 1, 2, 3]
    killed = int((tmp_path / "1").read_text())
    assert killed not in {os.getpid(), *(process for _, process in done)}


@pytest.mark.usefixtures("cluster")
def test_what_goes_wrong_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(item: str) -> None:
        raise DataError(f"no {item}")

    def stumble(item: str) -> None:
        raise ZeroDivisionError(item)

    def die(item: str) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(sys.modules[side_by_side.__module__], "TRIES", 1)
    with (
        side_by_side(refuse, workers=1) as run,
        pytest.raises(DataError, match=r"^no such$"),
    ):
        run(["such"])
    with side_by_side(stumble, workers=1) as run, pytest.raises(ZeroDivisionError, match="here"):
        run(["here"])
    with (
        side_by_side(die, workers=1) as run,
        pytest.raises(DistributedError, match="processes died 1 times, perhaps"),
    ):
        run(["now"])
    with (
        pytest.raises(ConfigError, match="workers=3 exceeds the 2 processors"),
        side_by_side(refuse, workers=3),
    ):
        pass
