"""The page on stores runs, top to bottom."""

from collections.abc import Callable
from typing import Any


def test_the_page_runs(run_page: Callable[[str], Any]) -> None:
    scope, lines, n_blocks = run_page("store.md")
    assert n_blocks == 5
    assert lines[0].split()[:2] == ["5000", "1000"]
    assert lines[1:3] == ["2 segments", "1 segment"]
    assert scope["store"].num_users > 5000
    assert scope["episodes"].support.item_index.tolist() == [scope["shown"].tolist()]
    assert "batch_size=512" in "".join(lines)
