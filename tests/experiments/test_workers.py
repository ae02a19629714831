"""Several processes leave what one leaves, and go when the main one goes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from graphmeta.experiments.coldstart import main
from graphmeta.experiments.fill_cells import _tasks
from graphmeta.experiments.methods import choose_methods
from graphmeta.experiments.workers import Task

OPTIONS = "--k 0 1 3 --quick --seeds 0 1 --channels 8"


def test_shared_training_stays_together() -> None:
    methods = choose_methods(["popularity", "item-knn", "unadapted", "adapted"])
    missing = [(seed, method) for seed in (0, 1) for method in methods][1:]
    assert _tasks(missing) == [
        Task(0, ("item-knn",)),
        Task(0, ("unadapted", "adapted"), is_large=True),
        Task(1, ("popularity",)),
        Task(1, ("item-knn",)),
        Task(1, ("unadapted", "adapted"), is_large=True),
    ]


def test_as_one_process(own_data: list[str], tmp_path: Path) -> None:
    common = [*own_data, *OPTIONS.split(), "--methods", "random", "popularity", "item-knn"]
    for workers in ("1", "2"):
        assert main([*common, "--workers", workers, "--out", str(tmp_path / workers)]) == 0
    for name in ("metrics.json", "per_user.parquet", "rankings.parquet"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()


def test_an_error_in_a_worker_is_one_line(
    own_data: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [*OPTIONS.split(), "--methods", "adapted", "--workers", "2", "--lr", "1e30"]
    assert main([*own_data, *options, "--out", str(tmp_path / "run")]) == 1
    errors = [x for x in capsys.readouterr().err.splitlines() if x.startswith("error: ")]
    assert len(errors) == 1
    assert "lower lr" in errors[0]


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="children are found in /proc")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_workers_go_with_the_main_process(
    own_data: list[str], tmp_path: Path, how: signal.Signals
) -> None:
    out = tmp_path / "run"
    options = [*OPTIONS.split(), "--methods", "item-knn", "adapted", "--workers", "2"]
    command = [sys.executable, "-m", "graphmeta.experiments.coldstart", *own_data, *options]
    process = subprocess.Popen(
        [*command, "--epochs", "1000", "--no-quick", "--out", str(out)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        children = wait_for_children(process, out)
        process.send_signal(how)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == (130 if how == signal.SIGINT else -signal.SIGKILL)
    assert "Traceback" not in errors
    if how == signal.SIGINT:
        assert errors.strip().splitlines()[-1].endswith(f"--resume {out}")
    deadline = time.monotonic() + 20
    while any(is_alive(child) for child in children) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(is_alive(child) for child in children)


def wait_for_children(process: subprocess.Popen[str], out: Path) -> list[int]:
    """Wait until the run folder is there and return the worker processes."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert process.poll() is None
        listed = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        if (out / "config.toml").exists() and len(listed) >= 3:  # Two, and a resource tracker.
            time.sleep(0.5)
            return [int(child) for child in listed]
        time.sleep(0.05)
    raise AssertionError("no workers were started")


def is_alive(child: int) -> bool:
    try:
        state = Path(f"/proc/{child}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z" and os.path.exists(f"/proc/{child}")
