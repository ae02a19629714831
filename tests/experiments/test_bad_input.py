"""Every bad input: one line, exit code 2, nothing left behind."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from graphmeta.data import planted_interactions
from graphmeta.experiments.coldstart import main

Frame = Callable[[pd.DataFrame], pd.DataFrame]
OWN = "--time-col time --rating-col rating --methods popularity --seeds 0"


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("GRAPHMETA_DATA_ROOT", raising=False)
    return folder


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run, and return the only line on standard error."""
    assert main(words) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    lines = shown.err.splitlines()
    assert len(lines) == 1
    assert os.listdir() == []
    return lines[0]


def with_value(column: str, value: object) -> Frame:
    def change(frame: pd.DataFrame) -> pd.DataFrame:
        values = frame[column].astype(object)
        values.iloc[5] = value
        return frame.assign(**{column: values})

    return change


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda f: f.drop(columns="time"), "no column 'time' among user, item, rating"),
        (lambda f: f.iloc[:0], "the table of interactions is empty"),
        (with_value("user", None), "ids in column 'user' are missing"),
        (with_value("item", np.nan), "ids in column 'item' are missing"),
        (with_value("time", np.inf), "time column 'time' is not finite"),
        (with_value("time", np.nan), "time column 'time' is not finite"),
        (with_value("time", -3), "time column 'time' is negative"),
        (with_value("rating", "good"), "rating column 'rating' is not numeric"),
        (lambda f: f[f["user"] == "u1"], "holds one user only"),
        (lambda f: f[f["item"] == "i1"], "holds one item only"),
        (lambda f: f.groupby("user").head(11), "that k_max=10 needs"),
    ],
)
def test_bad_tables(
    change: Frame,
    expected: str,
    table_file: Callable[[pd.DataFrame], Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = table_file(change(planted_interactions()))
    line = refused(["--interactions", str(path), *OWN.split()], capsys)
    assert line.startswith("error: ")
    assert expected in line


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("--data movielens-smal", "did you mean 'movielens-small'"),
        ("--data ml-1m", "set GRAPHMETA_DATA_ROOT"),
        ("--data ml-1m --data-root absent", "no folder absent/ml-1m"),
        ("--interactions absent.csv", "no file absent.csv"),
        ("--config absent.toml", "no configuration file absent.toml"),
        ("--methods user-kn", "no method named 'user-kn'; did you mean 'user-knn'"),
        ("--k 5000", "k=5000 is larger than any history"),
        ("--k 10 --k-max 5", "k=10 is above k_max=5"),
        ("--k x", "setting 'k'"),
        ("--nonsense", "unrecognized arguments: --nonsense"),
        ("--resume absent", "no run to resume in absent"),
    ],
)
def test_bad_options(words: str, expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert expected in refused(words.split(), capsys)


def test_file_cut_in_half(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "cut.parquet"
    planted_interactions().to_parquet(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    line = refused(["--interactions", str(path)], capsys)
    assert "cannot read" in line
    assert "cut short or damaged" in line


def test_unwritable_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    line = refused(["--out", str(tmp_path / "file" / "run")], capsys)
    assert "choose another folder with --out" in line


def test_read_only_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Permissions do not bind root, who may run these tests.
    def refuse(self: Path, **options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "touch", refuse)
    line = refused(["--out", str(tmp_path / "locked" / "run")], capsys)
    assert line.startswith(f"error: cannot write to {tmp_path / 'locked' / 'run'}: Permission")


def test_used_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "kept.txt").write_text("mine")
    line = refused(["--out", str(tmp_path)], capsys)
    assert f"continue that run with --resume {tmp_path}" in line
    assert (tmp_path / "kept.txt").read_text() == "mine"
