"""The page on ranking in bulk runs, top to bottom."""

from collections.abc import Callable
from typing import Any


def test_the_page_runs(run_page: Callable[[str], Any]) -> None:
    _, lines, n_blocks = run_page("bulk.md")
    assert n_blocks == 3
    assert lines[0] == "3 1 1"
    assert lines[-1] == "0"
    assert [line.split()[1] for line in lines[2:5]] == ["ann", "bob", "cy"]
