"""The experiment on training with several workers compares speed and weights."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from graphmeta.data import from_frame, planted_interactions
from graphmeta.errors import ConfigError, ProtocolError
from graphmeta.experiments import training_scale
from graphmeta.experiments.training_scale import EpochClock, TrainingRun, gap, told
from graphmeta.ranking import ColdStartRecommender


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Ray itself is tested in tests/cluster; here its workers are this process."""
    calls: list[tuple[int, int]] = []

    @contextlib.contextmanager
    def cluster(workers: int) -> Iterator[int]:
        yield workers

    def fit(
        model: ColdStartRecommender, train: Any, *, folder: str, workers: int, on_epoch: EpochClock
    ) -> ColdStartRecommender:
        calls.append((workers, model.n_shards or 0))
        model.set_params(channels=8, seed=model.seed + (len(calls) == 4))
        return model.fit(train, on_epoch=on_epoch)

    monkeypatch.setattr(training_scale, "ray_cluster", cluster)
    monkeypatch.setattr(training_scale, "fit_with_ray", fit)
    monkeypatch.setattr("torch.distributed.get_rank", lambda: 0)
    monkeypatch.setattr("torch.get_num_threads", lambda: 1)
    return calls


def run(workers: int, seconds: float, at_work: float, weight: float = 1.0) -> TrainingRun:
    return TrainingRun(workers, seconds, 100, at_work, {"w": torch.tensor([weight])})


def test_the_runs_take_turns_and_their_weights_are_compared(here: list[tuple[int, int]]) -> None:
    train = from_frame(planted_interactions(60, 30), time="time")
    runs = training_scale.compare(train, epochs=3, repeats=2)
    assert here == [(1, 2), (2, 2), (2, 2), (1, 2)]
    assert [run.workers for run in runs] == [1, 2, 2, 1]
    assert {run.tasks for run in runs} == {2 * 60}
    assert all(0 < run.at_work < run.seconds for run in runs)
    assert [gap(runs[0], run) > 0 for run in runs] == [False, False, False, True]
    assert "The weights of all runs are NOT the same: at most " in told(runs)


def test_the_report_is_of_medians_and_pairs() -> None:
    runs = [run(1, 20, 10), run(2, 14, 6.25), run(2, 15, 5), run(1, 30, 8), run(1, 40, 10)]
    runs.append(run(2, 16, 5, 1.000001))
    said = told(runs)
    assert "| 1 | 3 | 30.0 (20.0 to 40.0) | 10.0 (10.0 to 12.5) |" in said
    assert "| 2 | 3 | 15.0 (14.0 to 16.0) | 20.0 (16.0 to 20.0) |" in said
    # 16 / 10, 20 / 12.5 and 20 / 10.
    assert "Two workers are 1.60 (1.60 to 2.00) times" in said
    assert "efficiency of 0.80 (0.80 to 1.00)." in said
    assert "weights of all runs are the same: at most 1e-06 apart" in said


def test_a_clock_refuses_threads_that_compete(tmp_path: Path) -> None:
    clock = EpochClock(tmp_path / "epochs")
    clock.path.write_text("1.5 1\n2.0 1\n4.0 1\n")
    assert clock.seconds() == 2.5
    clock.path.write_text("1.5 2\n2.0 2\n")
    with pytest.raises(ProtocolError, match=r"had 2 threads, which compete.*OMP_NUM_THREADS=1"):
        clock.seconds()


def test_the_exit_code_says_whether_weights_differ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for weight, code in ((1.0, 0), (1.1, 1)):
        runs = [run(1, 20, 10), run(2, 14, 6.25, weight)]
        monkeypatch.setattr(training_scale, "compare", lambda *_, found=runs, **__: found)
        assert training_scale.main(["--out", str(tmp_path / "report.md")]) == code
        said = (tmp_path / "report.md").read_text()
        assert said.startswith("# Training with two workers\n\n`python -m")


def test_bad_input() -> None:
    train = from_frame(planted_interactions(60, 30))
    with pytest.raises(ConfigError, match="epochs=1 must be at least 2 and repeats=1"):
        training_scale.compare(train, epochs=1, repeats=1)
