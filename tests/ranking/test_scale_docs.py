"""The page on what a size costs runs."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any


def test_the_page_runs(run_page: Callable[[str], Any]) -> None:
    page = run_page("scale.md")
    assert page.n_blocks == 1
    items = ast.literal_eval(page.lines[0])
    assert len(set(items) - {"i1", "i5"}) == 3
