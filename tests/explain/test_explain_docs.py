"""The page on explanations runs, top to bottom."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch

PAGE = (Path(__file__).parents[2] / "docs" / "explain.md").read_text()


def test_the_page_runs(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    scope: dict[str, Any] = {}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for block in re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL):
            exec(compile(block, "docs/explain.md", "exec"), scope)
    assert (tmp_path / "why.png").exists()
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].startswith("[318, 858, 50, 1]")
    assert len(scope["why"].edges) == 20
