"""The folder that holds everything a run leaves behind."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from graphmeta.data.whole_file import write_whole
from graphmeta.errors import ConfigError, DataNotFoundError, OutputError

CONFIG = "config.toml"
MANIFEST = "manifest.json"


class RunFolder:
    """Writes files into the folder of a run, each whole or not at all.

    Args:
        path: The folder; use `create` for a new run and `reopen` to continue one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, path: Path, *, config: str, manifest: dict[str, Any]) -> RunFolder:
        """Make the folder with its configuration and manifest, or leave no trace.

        Raises:
            ConfigError: The folder already holds files.
            OutputError: It cannot be made or written to.
        """
        check_creatable(path)
        made = [folder for folder in (path, *path.parents) if not folder.exists()]
        folder = cls(path)
        try:
            path.mkdir(parents=True, exist_ok=True)
            folder.write_json(MANIFEST, manifest)
            folder.write_text(CONFIG, config)
        except BaseException as error:
            folder._withdraw(made)
            if isinstance(error, OSError) and not isinstance(error, OutputError):
                raise _unwritable(path, error) from error
            raise
        return folder

    @classmethod
    def reopen(cls, path: Path) -> RunFolder:
        """Return the folder of a run that was begun.

        Raises:
            DataNotFoundError: There is no run in it.
        """
        if not (path / CONFIG).is_file():
            raise DataNotFoundError(f"no run to resume in {path}: it has no {CONFIG}")
        return cls(path)

    def write(self, name: str, write: Callable[[Path], object]) -> None:
        """Write one file of the run by a function that is given the path to fill.

        Raises:
            OutputError: The file cannot be written.
        """
        target = self.path / name
        self.folder(str(target.parent.relative_to(self.path)))
        write_whole(target, write)

    def folder(self, name: str) -> Path:
        """Return a folder inside that of the run, made where it is not there.

        Raises:
            OutputError: It cannot be made.
        """
        path = self.path / name
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unwritable(path, error) from error
        return path

    def write_text(self, name: str, text: str) -> None:
        """Write a text file; see `write`."""
        self.write(name, lambda path: path.write_text(text, encoding="utf-8"))

    def write_json(self, name: str, content: Any) -> None:
        """Write a JSON file, which holds no NaN; see `write`."""
        self.write_text(name, json.dumps(content, indent=1, allow_nan=False) + "\n")

    def write_frame(self, name: str, frame: pd.DataFrame) -> None:
        """Write a Parquet file; see `write`."""
        self.write(name, lambda path: frame.to_parquet(path, index=False, compression="zstd"))

    def read_json(self, name: str) -> Any:
        """Return what a JSON file of the run holds, None where there is no such file."""
        path = self.path / name
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None

    def _withdraw(self, made: list[Path]) -> None:
        for name in (CONFIG, MANIFEST):
            with contextlib.suppress(OSError):
                (self.path / name).unlink(missing_ok=True)
        for folder in made:  # The innermost first; a folder that others use stays.
            with contextlib.suppress(OSError):
                folder.rmdir()


def check_creatable(path: Path) -> None:
    """Check that a run folder can be made, without making it.

    Raises:
        ConfigError: The folder already holds files.
        OutputError: It cannot be made or written to.
    """
    try:
        if path.is_dir() and any(path.iterdir()):
            raise ConfigError(
                f"{path} already holds files; continue that run with --resume {path}, or give "
                "another --out"
            )
    except OSError as error:
        raise _unwritable(path, error) from error
    nearest = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    probe = nearest / f".graphmeta-{path.name}"
    try:
        probe.touch(exist_ok=True)
        probe.unlink()
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> OutputError:
    reason = error.strerror or str(error)
    return OutputError(f"cannot write to {path}: {reason}; choose another folder with --out")
