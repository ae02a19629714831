"""The folder of a job: its parts, its manifest, and who is at work in it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from graphmeta.data.folder_lock import locked
from graphmeta.data.whole_file import write_whole
from graphmeta.errors import ConfigError, OutputError

MANIFEST, WORK = "manifest.json", ".work"


class BulkFolder:
    """Holds what is done of a job, so that the next run goes on there.

    Args:
        path: The folder; it is made where there is none.

    Raises:
        OutputError: It cannot be made.
        ConfigError: It holds something else.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            held = {file.name for file in self.path.iterdir()}
        except OSError as error:
            raise OutputError(f"cannot make the folder {path}: {error.strerror}") from error
        if MANIFEST not in held and held - {WORK, f".partial-{MANIFEST}"}:
            raise ConfigError(
                f"{path} holds files of something else, such as {min(held)}; name a new folder"
            )

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other runs out for as long as this process lives.

        Raises:
            ConfigError: Another run is at work.
            OutputError: The folder cannot be written to.
        """
        self.make_work()
        with locked(self.path) as is_ours:
            if not is_ours:
                raise ConfigError(
                    f"another run is at work in {self.path}; wait for it, or name another folder"
                )
            try:
                yield
            finally:
                if not any(self.work.glob("*")):
                    self.clear_work()

    @property
    def work(self) -> Path:
        """What is needed until the job is done."""
        return self.path / WORK

    @property
    def histories(self) -> Path:
        """The gathered interactions; there, they are whole."""
        return self.work / "histories.parquet"

    def make_work(self) -> None:
        """Make the folder for what is needed until the job is done.

        Raises:
            OutputError: It cannot be made.
        """
        try:
            self.work.mkdir(exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot write to {self.path}: {error.strerror}") from error

    def manifest(self) -> dict[str, Any]:
        """Return what the job was begun with and has come to; empty for a new one.

        Raises:
            ConfigError: The file is of something else.
        """
        path = self.path / MANIFEST
        if not path.exists():
            return {}
        try:
            found = json.loads(path.read_text())
            if not isinstance(found["settings"], dict):
                raise TypeError("settings are no object")
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(
                f"{path} is no manifest of a ranking ({error}); name a new folder"
            ) from error
        return dict(found)

    def write_manifest(self, content: dict[str, Any]) -> None:
        """Write the manifest, whole or not at all.

        Raises:
            OutputError: It cannot be written.
        """
        text = json.dumps(content, indent=1, sort_keys=True) + "\n"
        write_whole(self.path / MANIFEST, lambda path: path.write_text(text))

    def part(self, number: int) -> Path:
        """Return where a part lies once it is ranked."""
        return self.path / f"part-{number:05}.parquet"

    def missing(self, parts: int) -> list[int]:
        """Return the numbers of the parts that are not ranked yet."""
        return [number for number in range(parts) if not self.part(number).exists()]

    def write_part(self, number: int, content: bytes) -> None:
        """Write a part, whole or not at all.

        Raises:
            OutputError: It cannot be written.
        """
        write_whole(self.part(number), lambda path: path.write_bytes(content))

    def clear_work(self) -> None:
        """Remove what is no longer needed."""
        shutil.rmtree(self.work, ignore_errors=True)


def refuse_other_settings(begun: dict[str, Any], now: dict[str, Any], folder: Path) -> None:
    """Check that a run would go on as the job was begun.

    Raises:
        ConfigError: It would not; the message names the first difference.
    """
    for name in sorted(begun.keys() | now.keys()):
        old, new = begun.get(name), now.get(name)
        if old != new:
            told = "other files" if name == "histories" else f"{name}={old!r}, not {new!r}"
            told = "another model" if name == "bundle" else told
            raise ConfigError(
                f"{folder} was begun with {told}; run it as it was begun, or name another folder"
            )


def digest(path: Path) -> str:
    """Return a file's SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def marks(files: list[str], tail: int = 2**16) -> list[list[Any]]:
    """Return what tells Parquet files apart without reading them: name, size and the end.

    The end holds the footer, with counts, places and mostly extremes of all columns.
    """
    found: list[list[Any]] = []
    for name in files:
        with open(name, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - tail))
            found.append([Path(name).name, size, hashlib.sha256(file.read()).hexdigest()])
    return found
