"""Writes a file whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

from graphmeta.errors import OutputError


def write_whole(path: str | Path, write: Callable[[Path], object]) -> None:
    """Write a file so that a crash, a kill or a full disk leaves the old one or the new one.

    `write` fills a temporary file in the same folder, which is flushed to the disk and then
    takes the place of `path`. The temporary file keeps the suffix, by which writers tell the
    format, and its name is the same each time, so that the next write clears what a kill left.

    Args:
        path: The file to write; its folder exists.
        write: Writes all content to the path that it is given.

    Raises:
        OutputError: The file cannot be written; `path` is as it was.
    """
    path = Path(path)
    partial = path.with_name(f".partial-{path.name}")
    try:
        write(partial)
        _flush(partial)
        os.replace(partial, path)
    except OSError as error:
        _discard(partial)
        reason = error.strerror or " ".join(str(error).split())
        raise OutputError(
            f"cannot write {path}: {reason}; free space or choose another folder"
        ) from error
    except BaseException:
        _discard(partial)
        raise
    with contextlib.suppress(OSError):  # Not every file system can flush a folder.
        _flush(path.parent)


def _flush(path: Path) -> None:
    """Make a file's content, or the names in a folder, survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _discard(path: Path) -> None:
    """Remove a partial file; a second failure must not hide the first."""
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
