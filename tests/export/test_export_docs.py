"""The page on exporting runs, top to bottom."""

from collections.abc import Callable
from typing import Any

import pytest


def test_the_page_runs(run_page: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    # As outside of tests: `int` is a symbol while a module is traced.
    monkeypatch.setattr("jaxtyping.config.jaxtyping_disable", True)
    lines = run_page("export.md").lines
    assert len(lines) == 4
    histories = [[318, 858, 50], [1, 2571]]
    for line, history in zip(lines, histories, strict=False):
        assert len(set(eval(line)) | set(history)) >= 5
    assert lines[-1].startswith("64 users: ")
