"""The grid of learners and encoders: what it leaves, and how it goes on."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from graphmeta.experiments import learners
from graphmeta.experiments.learner_report import learner_report
from graphmeta.experiments.learners import main

SMALL = ["--epochs", "1", "--channels", "4", "--seeds", "0", "--k", "1", "3", "--learners", "ridge"]


def test_a_run_leaves_a_report_and_goes_on_with_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "grid"
    assert main([*SMALL, "--out", str(out)]) == 0
    first = (out / "report.md").read_text()
    assert "## movielens-small" in first
    assert first.count("| relation | ridge | 1 |") == 1
    frame = pd.read_parquet(next(out.rglob("seed-0.parquet")))
    assert set(frame["scorer"]) == {"adapted", "unadapted"}
    assert set(frame["k"]) == {1, 3}
    level = frame[frame["scorer"] == "unadapted"].groupby("k")["ndcg@10"].mean()
    assert f"| {level[1]:.4f}".replace(" 0.", " .") in first
    computed = []
    monkeypatch.setattr(
        learners,
        "_compute",
        lambda folder, place, *_: computed.append(place) or _copy(folder, place),
    )
    assert main(["--resume", str(out), "--learners", "ridge", "prototypes"]) == 0
    assert computed == ["cells/movielens-small/relation/prototypes/seed-0"]
    assert "| relation | prototypes | 1 |" in (out / "report.md").read_text()


def _copy(folder: learners.RunFolder, place: str) -> None:
    done = "cells/movielens-small/relation/ridge/seed-0"
    folder.write_frame(f"{place}.parquet", pd.read_parquet(folder.path / f"{done}.parquet"))
    folder.write_json(f"{place}.json", folder.read_json(f"{done}.json"))


def test_the_report_by_hand() -> None:
    rows = [
        {"user": user, "k": 1, "scorer": scorer, "ndcg@10": value, "seed": 0}
        for user, values in (("a", (0.5, 0.25)), ("b", (0.75, 0.5)))
        for scorer, value in zip(("adapted", "unadapted"), values, strict=True)
    ]
    labels = {"data": "toy", "encoder": "sage", "learner": "maml"}
    machine = {"cpu": "abacus", "torch_threads": 1, "cores": 2}
    manifest = {"command": "this", "commit": None, "started": "then", "machine": machine}
    seconds = pd.DataFrame([{**labels, "seed": 0, "seconds": 7.0}])
    report = learner_report(pd.DataFrame(rows).assign(**labels), seconds, manifest)
    assert "## toy, 2 users" in report
    row = "| sage | maml | 1 | .3750 | **+0.2500 (+0.2500 to +0.2500)** | 7 |"
    assert row in report
    assert "not in a checkout" in report


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--learners", "mamal"], "there is no 'mamal'; known learners: maml"),
        (["--encoders", "sag"], "there is no 'sag'; known encoders: relation"),
        (["--epochs", "0"], "epochs"),
        (["--data", "nowhere"], "there is no 'nowhere'; known data: movielens-small"),
        (["--resume", "nothing"], "no run to resume"),
    ],
)
def test_bad_input(
    words: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_what_was_computed_stays_comparable(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learners, "run", lambda *_: None)
    out = str(tmp_path / "grid")
    assert main([*SMALL, "--out", out]) == 0
    assert main(["--resume", out, "--epochs", "9"]) == 2
    assert "keeps its epochs" in capsys.readouterr().err
