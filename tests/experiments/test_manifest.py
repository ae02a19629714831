"""The manifest says who made a result."""

from __future__ import annotations

import subprocess
import sys
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


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_a_new_process_does_not_inherit_the_peak() -> None:
    block = bytearray(2**30)
    block[:: 2**12] = b"x" * len(block[:: 2**12])  # Memory counts once it is written to.
    code = "from graphmeta.experiments.manifest import peak_memory_mib as p; print(p())"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(child.stdout) < manifest.peak_memory_mib() - 500


def test_commit_outside_a_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "graphmeta" / "experiments"
    package.mkdir(parents=True)
    assert manifest._commit(package) is None
    (tmp_path / ".git").mkdir()
    assert manifest._commit(package) is None
