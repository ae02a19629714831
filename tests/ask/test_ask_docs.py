"""The page on questions runs, top to bottom."""

import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "ask.md").read_text()


def test_the_page_runs(capsys: pytest.CaptureFixture[str]) -> None:
    scope: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL):
        exec(compile(block, "docs/ask.md", "exec"), scope)
    lines = capsys.readouterr().out.splitlines()
    assert len(set(lines[0].split())) == 3
    assert lines[1].count(",") == 2
