"""The page on privacy runs, top to bottom."""

from collections.abc import Callable
from typing import Any


def test_the_page_runs(run_page: Callable[[str], Any]) -> None:
    lines = run_page("privacy.md").lines
    assert lines[0].startswith("spent: epsilon 7.9") or lines[0] == "spent: epsilon 8.00"
    words = lines[1].split()
    assert words[0] == words[5]
    assert lines[2].count(",") == 2
    assert lines[3] == "True"
    assert lines[4].endswith("weights after two rounds on 5 devices")
    assert lines[5] == "True"
    assert lines[6] == "at epsilon 1 at most 2.7% at 1 % false positives"
