"""The block on Ray of the page on training in several processes runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from graphmeta.cluster.fit_with_ray import CHECKPOINT

PAGE = Path(__file__).parents[2] / "docs" / "data_parallel.md"


def test_the_block_runs(
    in_this_process: list[Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    _, block = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    exec(compile(block, PAGE.name, "exec"), {"__name__": "page"})
    assert capsys.readouterr().out.startswith("loss -")
    assert in_this_process[0]["scaling_config"].num_workers == 2
    assert (tmp_path / "training" / CHECKPOINT).exists()
