"""One process at a time in a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(folder: Path) -> Iterator[bool]:
    """Hold a folder for as long as the block lasts, and tell whether it could be had.

    Others that ask for it meanwhile cannot have it; a process that dies gives it back. Where the
    system or the file system has no locks, everybody can.

    Args:
        folder: A folder that exists; nothing is written to it.
    """
    try:
        import fcntl
    except ImportError:  # Windows.
        yield True
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_ours = True
        except BlockingIOError:
            is_ours = False
        except OSError:  # A file system without locks.
            is_ours = True
        yield is_ours
    finally:
        os.close(handle)
