"""A folder that is there whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from graphmeta.data.folder_lock import locked
from graphmeta.errors import GraphMetaError, OutputError


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Give a folder that takes its place when all went well, and goes otherwise.

    Raises:
        OutputError: Another process writes there, or the disk does not take it.
    """
    new = path.with_name(f".partial-{path.name}")
    try:
        new.mkdir(parents=True, exist_ok=True)
        with locked(new) as is_ours:
            if not is_ours:
                raise OutputError(f"another process writes {path}; wait for it")
            try:
                for left in new.iterdir():  # By a kill.
                    shutil.rmtree(left) if left.is_dir() else left.unlink()
                yield new
                os.rename(new, path)
            except BaseException:
                shutil.rmtree(new, ignore_errors=True)
                raise
    except GraphMetaError:
        raise
    except OSError as error:
        reason = error.strerror or " ".join(str(error).split())
        raise OutputError(
            f"cannot write {path}: {reason}; free space or choose another folder"
        ) from error
