"""The memory experiment runs and its two sides are of the same kind."""

from __future__ import annotations

import pytest

from graphmeta.experiments.memory import main


def test_a_small_run_prints_both_sides(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--small"]) == 0
    shown = capsys.readouterr().out
    assert "maml on relation" in shown
    assert "estimated" in shown
