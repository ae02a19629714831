"""The page on questions runs, top to bottom."""

from collections.abc import Callable
from typing import Any


def test_the_page_runs(run_page: Callable[[str], Any]) -> None:
    lines = run_page("ask.md").lines
    assert len(set(lines[0].split())) == 3
    assert lines[1].count(",") == 2
