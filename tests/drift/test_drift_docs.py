"""The page on drift runs, top to bottom."""

from collections.abc import Callable
from typing import Any


def test_the_page_runs(run_page: Callable[[str], Any]) -> None:
    lines = run_page("drift.md").lines
    n_old, n_new = map(int, lines[0].split())
    assert n_old < n_new
    assert all(0 < float(figure) < 1 for figure in lines[1:3])
    assert lines[3].count(",") == lines[4].count(",") == 2
    assert lines[5] == "6 ()"
