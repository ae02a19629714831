"""The comparison of training on a sample of the catalogue with training on all of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from graphmeta.experiments.sampled_softmax import main


def test_the_command_goes_on_from_what_was_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--k", "3", "--draws", "64", "--seeds", "0", "--epochs", "0"]
    words += ["--models", str(tmp_path / "kept"), "--out", str(tmp_path / "report.md")]
    assert main(words) == 0
    text = (tmp_path / "report.md").read_text()
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| ")][2:]
    assert [row[0] for row in rows[:2]] == ["| whole catalogue", "| 64 draws"]
    # Untrained, it makes no difference what training would have seen.
    assert rows[0][2] == rows[1][2]
    assert rows[1][3] == "+0.0000"
    assert text.strip() in capsys.readouterr().out


def test_what_cannot_be_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--draws", "0"]) == 2
    assert "--draws [0] must be at least 1" in capsys.readouterr().err
