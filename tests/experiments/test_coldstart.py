"""The command end to end: what a run leaves, how it stops and how it goes on."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from graphmeta.data import whole_file
from graphmeta.experiments import compute_cells
from graphmeta.experiments.coldstart import main
from graphmeta.experiments.run_progress import RunProgress
from graphmeta.experiments.settings import read_settings

RESULTS = ("metrics.json", "per_user.parquet", "rankings.parquet")
METHODS = ["popularity", "item-knn", "unadapted", "adapted"]
Run = Callable[..., int]


def same_results(one: Path, other: Path) -> bool:
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in RESULTS)


def test_what_a_run_leaves(finished: Path) -> None:
    names = {path.name for path in finished.iterdir()}
    figures = {"shot_curve.png", "training_curve.png", "subgraph.png"}
    assert names >= {*RESULTS, *figures, "config.toml", "manifest.json", "report.md"}
    assert "| popularity |" in (finished / "report.md").read_text()
    assert not any(path.name.startswith(".partial") for path in finished.rglob("*"))
    settings = read_settings(finished / "config.toml")
    assert settings.k == (0, 1, 3, 5, 10)
    assert settings.seeds == (0,)
    assert settings.methods == tuple(METHODS)
    for name in figures:
        assert (finished / name).read_bytes().startswith(b"\x89PNG")


def test_tables(finished: Path) -> None:
    per_user = pd.read_parquet(finished / "per_user.parquet")
    metrics = ["ndcg@10", "recall@20", "hit_rate@10", "mrr@10"]
    assert list(per_user) == ["seed", "method", "user", "k", *metrics]
    assert per_user["user"].str.fullmatch(r"u\d+").all()
    rankings = pd.read_parquet(finished / "rankings.parquet")
    assert list(rankings) == ["seed", "user", "method", "k", "rank", "item", "score"]
    by_list = rankings.groupby(["method", "user", "k"])
    assert (by_list["rank"].apply(list).map(lambda ranks: ranks == list(range(1, 21)))).all()
    assert (by_list["score"].diff().dropna() <= 0).all()
    assert (by_list["item"].nunique() == 20).all()
    assert rankings["item"].str.fullmatch(r"i\d+").all()


def test_metrics(finished: Path) -> None:
    metrics = json.loads((finished / "metrics.json").read_text())
    summary = pd.DataFrame(metrics["summary"])
    per_user = pd.read_parquet(finished / "per_user.parquet")
    means = per_user.groupby(["method", "k"])["ndcg@10"].mean()
    shown = summary[summary["metric"] == "ndcg@10"].set_index(["method", "k"])["mean"]
    pd.testing.assert_series_equal(
        means.sort_index(), shown.sort_index(), check_names=False, rtol=1e-12
    )
    assert (summary["lower"] <= summary["mean"]).all()
    assert (summary["mean"] <= summary["upper"]).all()
    assert {row["name"] for row in metrics["contrasts"]} == {
        "adapted - unadapted",
        "adapted - popularity",
        "adapted - best baseline",
    }
    by_method = {row["method"]: set(row) for row in metrics["tuning"]}
    assert set(by_method) == {"popularity", "item-knn", "unadapted", "adapted"}
    assert by_method["unadapted"] > {"prior", "prior_weight", "epoch"}
    assert by_method["adapted"] == {"seed", "method", "k", "is_worth_adapting"}
    assert [len(row["loss"]) for row in metrics["losses"]] == [2, 2]
    assert set(metrics["catalogue"][0]) >= {"coverage@10", "gini@10", "novelty@10"}


def test_manifest(finished: Path) -> None:
    manifest = json.loads((finished / "manifest.json").read_text())
    assert manifest["status"] == "finished"
    assert manifest["seeds"] == [0]
    assert manifest["data"]["users"] == 160
    assert {"torch", "graphmeta", "pandas"} <= set(manifest["versions"])
    assert {"cpu", "cores", "memory_gib"} <= set(manifest["machine"])
    assert [cell["method"] for cell in manifest["cells"]] == METHODS
    assert all(cell["seconds"] > 0 for cell in manifest["cells"])
    assert manifest["peak_memory_mib"] > 50


def test_table_is_on_stdout_and_progress_on_stderr(
    small_run: Run, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert small_run(finished, "--resume") == 0
    shown = capsys.readouterr()
    for name in (*METHODS, "SMOKE RUN", "k = 10", "adapted less"):
        assert name in shown.out
    assert f"the run is in {finished}" in shown.err
    assert "the run is in" not in shown.out


def test_resuming_a_finished_run_changes_nothing(small_run: Run, finished: Path) -> None:
    before = {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()}
    assert small_run(finished, "--resume") == 0
    assert {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()} == before


def test_same_command_same_bytes(small_run: Run, finished: Path, tmp_path: Path) -> None:
    assert small_run(tmp_path / "again") == 0
    assert same_results(tmp_path / "again", finished)


def test_interruption_and_resume(
    small_run: Run,
    finished: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "run"
    evaluate, calls = compute_cells.evaluate, []

    def interrupt(*args: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return evaluate(*args, **options)

    monkeypatch.setattr(compute_cells, "evaluate", interrupt)
    assert small_run(out) == 130
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.endswith(f"--resume {out}")
    assert last.startswith("interrupted; continue with: python -m graphmeta.experiments.coldstart")
    assert not (out / "metrics.json").exists()
    assert main(["--resume", str(out)]) == 0
    assert len(calls) == 5  # Two cells were finished and are not computed again.
    assert same_results(out, finished)


def test_interrupted_training_continues(
    small_run: Run, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    seen: list[int] = []

    def interrupt(self: RunProgress, epoch: int, epochs: int, loss: float) -> None:
        seen.append(epoch)
        if len(seen) == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(RunProgress, "epoch", interrupt)
    assert small_run(out) == 130
    assert (out / "training" / "seed-0.safetensors").is_file()
    assert main(["--resume", str(out)]) == 0
    assert seen == [1, 2]  # The first epoch is not trained again.
    assert same_results(out, finished)


def test_full_disk(
    small_run: Run,
    finished: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "run"
    flush, calls = whole_file._flush, []

    def fill(path: Path) -> None:
        calls.append(path)
        if len(calls) > 20:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        flush(path)

    monkeypatch.setattr(whole_file, "_flush", fill)
    assert small_run(out) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert "No space left on device" in last
    assert last.endswith(f"--resume {out})")
    assert not any(path.name.startswith(".partial") for path in out.rglob("*"))
    monkeypatch.undo()
    assert main(["--resume", str(out)]) == 0
    assert same_results(out, finished)


def test_kill_and_resume(own_data: list[str], finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    config = finished / "config.toml"
    command = [sys.executable, "-m", "graphmeta.experiments.coldstart"]
    child = subprocess.Popen(
        [*command, "--config", str(config), "--out", str(out)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while not list(out.glob("cells/*/*/cell.json")) and time.monotonic() < deadline:
        assert child.poll() is None
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    assert not (out / "metrics.json").exists()
    assert main(["--resume", str(out)]) == 0
    assert same_results(out, finished)


def test_resume_takes_in_methods_and_seeds(own_data: list[str], tmp_path: Path) -> None:
    out = tmp_path / "run"
    line = [*own_data, "--methods", "popularity", "--seeds", "0", "--k", "0", "1", "--workers", "1"]
    assert main([*line, "--out", str(out)]) == 0
    cell = out / "cells/seed-0/popularity/cell.json"
    before = cell.stat().st_mtime_ns
    more = ["--resume", str(out), "--methods", "item-knn", "--seeds", "1"]
    assert main(more) == 0
    assert cell.stat().st_mtime_ns == before
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["methods"] == ["popularity", "item-knn"]
    assert metrics["seeds"] == [0, 1]
    manifest = json.loads((out / "manifest.json").read_text())
    assert [split["seed"] for split in manifest["splits"]] == manifest["seeds"] == [0, 1]
    assert len(manifest["cells"]) == 4
    assert manifest["continued"][0]["command"].endswith("--methods item-knn --seeds 1")
    report = (out / "report.md").read_text()
    took = sum(cell["seconds"] for cell in manifest["cells"])
    assert f"- Time and memory: {took:.0f} s for all cells, " in report
    assert main(["--resume", str(out)]) == 0
    assert (out / "report.md").read_text() == report


def test_resume_refuses_another_run(
    finished: Path,
    tmp_path: Path,
    table_file: Callable[[pd.DataFrame], Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--resume", str(finished), "--epochs", "3"]) == 2
    error = capsys.readouterr().err
    assert "was begun with epochs=2, not 3; leave --epochs out" in error
    assert main(["--resume", str(tmp_path)]) == 2
    assert "no run to resume" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_resume_refuses_other_data(
    small_run: Run, tmp_path: Path, own_data: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    frame = pd.read_parquet(own_data[1])
    data = tmp_path / "data.parquet"
    frame.to_parquet(data)
    out = tmp_path / "run"
    options = ["--interactions", str(data), "--time-col", "time", "--methods", "popularity"]
    assert main([*options, "--seeds", "0", "--out", str(out)]) == 0
    frame.iloc[1:].to_parquet(data)
    capsys.readouterr()
    assert main(["--resume", str(out)]) == 2
    assert "the interactions are not those" in capsys.readouterr().err
