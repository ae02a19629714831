"""The page on popularity runs, top to bottom."""

from collections.abc import Callable
from typing import Any


def test_the_page_runs(run_page: Callable[[str], Any]) -> None:
    page = run_page("popularity.md")
    shares = [float(line.split(", ")[1].split("%")[0]) for line in page.lines[:3]]
    assert shares[0] <= min(shares[1:])
    assert shares[0] < max(shares[1:])
    popular, niche = page.lines[3:5]
    assert popular != niche
    shown = page.scope["model"].recommend([318, 858], k=5).items
    assert str(shown) != page.lines[5]
