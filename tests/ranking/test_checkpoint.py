"""Training states on disk."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from graphmeta.errors import DataError, OutputError
from graphmeta.ranking.checkpoint import read_checkpoint, write_checkpoint


def test_round_trip(tmp_path: Path) -> None:
    shared = torch.arange(6.0)
    state = {"a": shared[:3], "b": shared.view(2, 3).T, "c": torch.tensor(3, dtype=torch.uint8)}
    write_checkpoint(tmp_path / "state", state)
    found = read_checkpoint(tmp_path / "state")
    assert found.keys() == state.keys()
    assert all(torch.equal(found[name], value) for name, value in state.items())
    assert all(found[name].dtype == value.dtype for name, value in state.items())


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state"
    write_checkpoint(path, {"a": torch.zeros(100)})
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match=r"state.*remove it"):
        read_checkpoint(path)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="choose another folder"):
        write_checkpoint(tmp_path / "none" / "state", {"a": torch.zeros(1)})
