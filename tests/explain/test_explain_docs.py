"""The page on explanations runs, top to bottom."""

from collections.abc import Callable
from pathlib import Path
from typing import Any


def test_the_page_runs(run_page: Callable[[str], Any], tmp_path: Path) -> None:
    scope, lines, _ = run_page("explain.md")
    assert (tmp_path / "why.png").exists()
    assert lines[-1].startswith("[318, 858, 50, 1]")
    assert len(scope["why"].edges) == 20
