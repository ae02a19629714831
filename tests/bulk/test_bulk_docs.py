"""The page on ranking in bulk runs, top to bottom."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

PAGE = (Path(__file__).parents[2] / "docs" / "bulk.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)


def test_the_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    scope: dict[str, Any] = {"__name__": "bulk"}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for block in BLOCKS:
            exec(compile(block, "docs/bulk.md", "exec"), scope)
    lines = capsys.readouterr().out.strip().splitlines()
    assert len(BLOCKS) == 3
    assert lines[0] == "3 1 1"
    assert lines[-1] == "0"
    assert [line.split()[1] for line in lines[2:5]] == ["ann", "bob", "cy"]
