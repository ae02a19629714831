"""The run folder appears whole or not at all."""

from __future__ import annotations

import errno
from pathlib import Path

import pandas as pd
import pytest

from graphmeta.errors import ConfigError, DataNotFoundError, OutputError
from graphmeta.experiments import run_folder
from graphmeta.experiments.run_folder import RunFolder


def test_creates_writes_and_reopens(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "a" / "b", config="x = 1\n", manifest={"seeds": [0]})
    assert RunFolder.reopen(folder.path).read_json("manifest.json") == {"seeds": [0]}
    folder.write_frame("deep/er/t.parquet", pd.DataFrame({"user": ["é", "b"], "k": [0, 1]}))
    assert pd.read_parquet(folder.path / "deep/er/t.parquet")["user"].tolist() == ["é", "b"]
    assert folder.read_json("absent.json") is None


def test_an_existing_run_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(ConfigError, match="already holds files; continue that run with --resume"):
        RunFolder.create(tmp_path, config="", manifest={})
    assert [p.name for p in tmp_path.iterdir()] == ["note.txt"]


def test_an_empty_folder_is_used_and_kept_on_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    full_disk(monkeypatch)
    for path in (empty, tmp_path / "new" / "er"):
        with pytest.raises(OutputError, match="No space left"):
            RunFolder.create(path, config="", manifest={})
    assert list(tmp_path.iterdir()) == [empty]
    assert list(empty.iterdir()) == []


def test_unwritable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="choose another folder with --out"):
        RunFolder.create(tmp_path / "file" / "run", config="", manifest={})


def test_nothing_to_reopen(tmp_path: Path) -> None:
    with pytest.raises(DataNotFoundError, match=r"no run to resume in .*no config\.toml"):
        RunFolder.reopen(tmp_path)


def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path, write: object) -> None:
        raise OutputError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(run_folder, "write_whole", fail)
