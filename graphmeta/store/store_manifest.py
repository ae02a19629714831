"""The file that says what a store holds."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from graphmeta.errors import DataError, DataNotFoundError
from graphmeta.store.events import Columns
from graphmeta.store.segment import SegmentFiles

MANIFEST = "manifest.json"


class StoreManifest(BaseModel):
    """What a store holds.

    Args:
        version: Of the format.
        columns: Which columns of the sources hold what.
        segments: Its parts, in the order in which they came.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: int = 1
    columns: Columns
    segments: tuple[SegmentFiles, ...] = ()

    @property
    def digest(self) -> str:
        """BLAKE2b of what it says, the digests of all arrays among it."""
        return hashlib.blake2b(self.model_dump_json().encode(), digest_size=16).hexdigest()


def read_manifest(path: Path) -> StoreManifest:
    """Return the manifest of the store in a folder.

    Raises:
        DataNotFoundError: There is no store there.
        DataError: The manifest is damaged, or of another version.
    """
    if not (path / MANIFEST).is_file():
        raise DataNotFoundError(f"no store at {path}; build one with InteractionStore.build")
    try:
        manifest = StoreManifest.model_validate(json.loads((path / MANIFEST).read_text()))
    except (ValidationError, ValueError) as error:
        raise DataError(f"{path / MANIFEST} is damaged, or of another version") from error
    if manifest.version != 1:
        raise DataError(f"{path} has format {manifest.version}; this version reads 1")
    return manifest


def write_manifest(path: Path, *, manifest: StoreManifest) -> None:
    """Write a manifest as a file of this name."""
    path.write_text(manifest.model_dump_json(indent=1) + "\n")
