"""The page on exploring runs, top to bottom."""

from collections.abc import Callable
from typing import Any


def test_the_page_runs(run_page: Callable[[str], Any]) -> None:
    lines = run_page("exploration.md").lines
    assert lines[0] == "2 4 0"
    assert lines[1].count(",") == 2
