"""The page on what a size costs runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def test_the_page_runs(run_page: Callable[[str], Any]) -> None:
    page = run_page("scale.md")
    assert page.n_blocks == 1
    items = page.lines[0].strip("[]").split(", ")
    assert len(items) == 3
    # The group of the two items shown has every fourth one.
    assert {int(item.strip("'")[1:]) % 4 for item in items} == {1}
