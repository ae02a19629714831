"""The reading benchmark on a small file."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from graphmeta.data import planted_interactions
from graphmeta.experiments.reading import main, measure, read_graph, read_table


def test_both_sides_read_the_same_rows(tmp_path: Path) -> None:
    path = tmp_path / "ratings.parquet"
    planted_interactions(30, 20, per_user=5).to_parquet(path)
    for read in (read_table, read_graph):
        seconds, memory, rows = measure(read, str(path))
        assert rows == 150
        assert len(seconds) == 5
        assert min(seconds) > 0
        assert memory >= 0


def test_it_reports_time_and_memory(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--users", "20"]) == 0
    shown = capsys.readouterr().out
    assert "Reading 3,340 interactions" in shown
    assert "times as long as the table alone" in shown


def test_a_file_that_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "none.parquet")]) == 2
    assert "none.parquet" in capsys.readouterr().err
    path = tmp_path / "bare.parquet"
    pd.DataFrame({"user": [1]}).to_parquet(path)
    assert main([str(path)]) == 2
    assert "error: " in capsys.readouterr().err
