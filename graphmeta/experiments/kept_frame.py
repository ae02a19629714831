"""Figures that a folder keeps from one call to the next, under what they depend on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from graphmeta.data.whole_file import write_whole


def kept_frame(
    folder: Path | None, name: str, about: Sequence[object], compute: Callable[[], pd.DataFrame]
) -> pd.DataFrame:
    """Return the table that the folder holds under this name, or compute it and put it there.

    Args:
        folder: Made where it is missing; None keeps nothing.
        name: Begins the file's name.
        about: All that decides the figures and is not in the name; other settings are other files.
        compute: Makes the table.

    Raises:
        OutputError: The file cannot be written.
    """
    if folder is None:
        return compute()
    digest = hashlib.sha256(repr(list(about)).encode()).hexdigest()[:8]
    path = folder / f"{name}-{digest}.parquet"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(path, compute().to_parquet)
    return pd.read_parquet(path)
