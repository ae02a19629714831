"""The page on stores runs, top to bottom."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

PAGE = (Path(__file__).parents[2] / "docs" / "store.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)


def test_the_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    scope: dict[str, Any] = {"__name__": "store"}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for block in BLOCKS:
            exec(compile(block, "docs/store.md", "exec"), scope)
    lines = capsys.readouterr().out.strip().splitlines()
    assert len(BLOCKS) == 5
    assert lines[0].split()[:2] == ["5000", "1000"]
    assert lines[1:3] == ["2 segments", "1 segment"]
    assert scope["store"].num_users > 5000
    assert scope["episodes"].support.item_index.tolist() == [scope["shown"].tolist()]
    assert "batch_size=512" in "".join(lines)
