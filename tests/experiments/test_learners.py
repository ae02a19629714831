"""The grid of learners and encoders: what it leaves, and how it goes on."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from graphmeta.experiments import learners
from graphmeta.experiments.learner_report import compared, learner_report
from graphmeta.experiments.learners import main
from graphmeta.experiments.run_folder import MANIFEST, RunFolder
from graphmeta.experiments.sessions import session_lines

SMALL = [
    "--epochs",
    "1",
    "--min-steps",
    "1",
    "--channels",
    "4",
    "--seeds",
    "0",
    "--k",
    "1",
    "3",
    "--learners",
    "ridge",
]


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
    report = (out / "report.md").read_text()
    assert "| relation | prototypes | 1 |" in report
    assert report.count("python -m graphmeta.experiments.learners") == 2
    again = tmp_path / "again"
    assert (
        main(["--config", str(out / "config.toml"), "--learners", "ridge", "--out", str(again)])
        == 0
    )
    assert computed[1:] == ["cells/movielens-small/relation/ridge/seed-0"]


def _copy(folder: learners.RunFolder, place: str) -> None:
    done = folder.path.parent / "grid" / "cells/movielens-small/relation/ridge/seed-0"
    folder.write_frame(f"{place}.parquet", pd.read_parquet(done.with_suffix(".parquet")))
    folder.write_json(f"{place}.json", json.loads(done.with_suffix(".json").read_text()))


def frame_of(**differences: float) -> pd.DataFrame:
    """Return twelve users whom each learner helps by its difference."""
    rows = [
        {"user": user, "k": 1, "scorer": scorer, "ndcg@10": value, "seed": 0, "learner": learner}
        for learner, difference in differences.items()
        for user in range(12)
        for scorer, value in (("adapted", 0.25 + difference * (1 + user)), ("unadapted", 0.25))
    ]
    return pd.DataFrame(rows).assign(data="toy", encoder="sage")


def session_of(command: str) -> dict[str, object]:
    machine = {"cpu": "abacus", "torch_threads": 1, "cores": 2}
    return {"command": command, "commit": None, "started": "then", "machine": machine}


def test_the_report_by_hand(tmp_path: Path) -> None:
    per_user = frame_of(maml=0.02, ridge=0.0)
    labels = per_user[["data", "encoder", "learner", "seed"]].drop_duplicates()
    folder = RunFolder(tmp_path)
    folder.write_json(MANIFEST, {"sessions": [session_of("this"), session_of("that")]})
    report = learner_report(per_user, labels.assign(seconds=7.0), session_lines(folder))
    assert "## toy, 12 users" in report
    assert report.count("not in a checkout, abacus, 1 of 2 cores") == 2
    lines = [line for line in report.splitlines() if line.startswith("| sage")]
    assert lines[0].startswith("| sage | maml | 1 | .2500 | **+0.1300 (+0.")
    assert lines[0].endswith(")** | 7 |")
    assert lines[1] == "| sage | ridge | 1 | .2500 | +0.0000 (+0.0000 to +0.0000) | 7 |"


def test_p_is_corrected_over_all_comparisons() -> None:
    alone = compared(frame_of(maml=0.02))
    among = compared(frame_of(maml=0.02, ridge=0.0, anil=0.0))
    assert alone["p_holm"][0] == alone["p_value"][0] < 0.05
    assert among["p_holm"][0] == pytest.approx(3 * among["p_value"][0])
    assert among["unadapted"].tolist() == [0.25] * 3


def test_what_was_computed_stays_comparable(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learners, "run", lambda *_: None)
    out = str(tmp_path / "grid")
    assert main([*SMALL, "--out", out]) == 0
    assert main(["--resume", out, "--epochs", "9"]) == 2
    assert "keeps its epochs" in capsys.readouterr().err
