"""The page on friends runs, top to bottom."""

from collections.abc import Callable
from typing import Any


def test_the_page_runs(run_page: Callable[[str], Any]) -> None:
    lines = run_page("social.md").lines
    assert lines[0].startswith("{0: ")
    assert lines[1].count("i") == lines[2].count("i") == 3
    assert lines[3:] == ["True", "6"]
