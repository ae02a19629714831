"""The manifest says who made a result."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from graphmeta.experiments import manifest


def test_environment() -> None:
    found = manifest.environment()
    assert found["versions"]["torch"] == torch.__version__
    assert found["machine"]["cores"] >= 1
    assert found["machine"]["cpu"]
    assert manifest.now().endswith("+00:00")
    assert manifest.peak_memory_mib() > 50


def test_commit_outside_a_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "graphmeta" / "experiments"
    package.mkdir(parents=True)
    assert manifest._commit(package) is None
    (tmp_path / ".git").mkdir()
    assert manifest._commit(package) is None
