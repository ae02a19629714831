"""The page on shilling runs, top to bottom."""

from collections.abc import Callable
from typing import Any


def test_the_page_runs(run_page: Callable[[str], Any]) -> None:
    lines = run_page("robustness.md").lines
    n_real, n_all = map(int, lines[0].split())
    assert n_all == n_real + -(-n_real // 20)
    assert lines[1].count(",") == 3
    assert lines[2] == "20"
    of_fakes, of_real = (float(share.rstrip("%")) for share in lines[3].split())
    assert of_fakes == 100
    assert of_real < 5
    assert float(lines[4].rstrip("%")) > 80
