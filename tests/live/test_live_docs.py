"""The page on live tests runs, top to bottom."""

from collections.abc import Callable
from typing import Any


def test_the_page_runs(run_page: Callable[[str], Any]) -> None:
    run = run_page("live.md")
    text = "\n".join(run.lines)
    el = run.scope["found"].values.loc["el"]
    assert el["lower"] < run.scope["truth"] < el["upper"]
    assert "no column 'propensity' of propensities" in text
    assert "instead of 1" in text
    assert run.scope["preference"].share > 0.5
    assert run.scope["effect"].is_no_worse
    assert run.scope["look"].lower < 0.1 < run.scope["look"].upper
