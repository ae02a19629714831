"""The comparison of training for the long tail with leaning to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from graphmeta.experiments.propensity import main


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "propensity.md"
    words = ["--k", "3", "--powers", "0.5", "--seeds", "0", "--epochs", "0"]
    assert main([*words, "--out", str(out)]) == 0
    text = out.read_text()
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| ")][2:]
    assert [row[0] for row in rows] == ["| as trained", "| niche 0.5", "| propensity 0.5"]
    # Untrained, the weights of the query make no difference; leaning does.
    assert rows[0][2:] == rows[2][2:]
    assert rows[0][2:] != rows[1][2:]
    assert text.strip() in capsys.readouterr().out


def test_what_cannot_be_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--powers", "0"]) == 2
    assert "--powers [0.0] must be above 0" in capsys.readouterr().err
