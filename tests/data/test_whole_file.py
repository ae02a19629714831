"""A file is there whole, or as it was before."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from graphmeta.data.whole_file import write_whole
from graphmeta.errors import OutputError


def test_writes_and_replaces(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    for text in ("first", "second, which is longer", "x"):
        write_whole(target, lambda path, text=text: path.write_text(text))
        assert target.read_text() == text
        assert os.listdir(tmp_path) == ["a.json"]


def test_partial_file_keeps_the_suffix(tmp_path: Path) -> None:
    seen: list[Path] = []
    write_whole(tmp_path / "figure.png", lambda path: (seen.append(path), path.write_bytes(b"1")))
    assert seen[0].suffix == ".png"
    assert seen[0].parent == tmp_path


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_failure_in_the_middle_leaves_the_old_file(tmp_path: Path, code: int) -> None:
    target = tmp_path / "a.bin"
    target.write_bytes(b"old")

    def fail(path: Path) -> None:
        path.write_bytes(b"half of the n")
        raise OSError(code, os.strerror(code))

    with pytest.raises(OutputError, match=rf"cannot write .*a\.bin: {os.strerror(code)}; free"):
        write_whole(target, fail)
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_interruption_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "a.bin"
    target.write_bytes(b"old")

    def interrupt(path: Path) -> None:
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_whole(target, interrupt)
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_what_a_kill_left_is_cleared(tmp_path: Path) -> None:
    (tmp_path / ".partial-a.txt").write_text("left by a kill, longer than what follows")
    write_whole(tmp_path / "a.txt", lambda path: path.write_text("new"))
    assert os.listdir(tmp_path) == ["a.txt"]


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="No such file or directory"):
        write_whole(tmp_path / "absent" / "a.txt", lambda path: path.write_text("x"))
