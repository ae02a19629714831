"""The page on popularity runs, top to bottom."""

from collections.abc import Callable
from typing import Any


def test_the_page_runs(run_page: Callable[[str], Any]) -> None:
    page = run_page("popularity.md")
    known, tail = (
        [float(line.split(", ")[column].split("%")[0]) for line in page.lines[:3]]
        for column in (1, 2)
    )
    # After one epoch hardly a list has room for the long tail; less known items there are.
    as_trained, niche, long_tail = known
    assert niche < as_trained
    assert long_tail <= as_trained
    assert tail[0] <= min(tail[1:])
    popular, niche = page.lines[3:5]
    assert popular != niche
    shown = page.scope["model"].recommend([318, 858], k=5).items
    assert str(shown) != page.lines[5]
