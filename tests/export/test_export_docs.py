"""The page on exporting runs, top to bottom."""

import re
from pathlib import Path
from typing import Any

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "export.md").read_text()


def test_the_page_runs(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As outside of tests: `int` is a symbol while a module is traced.
    monkeypatch.setattr("jaxtyping.config.jaxtyping_disable", True)
    monkeypatch.chdir(tmp_path)
    scope: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL):
        exec(compile(block, "docs/export.md", "exec"), scope)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    histories = [[318, 858, 50], [1, 2571]]
    for line, history in zip(lines, histories, strict=False):
        assert len(set(eval(line)) | set(history)) >= 5
    assert lines[-1].startswith("64 users: ")
