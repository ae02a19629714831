"""Arrays as raw files that are opened in no time, whatever their size."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from graphmeta.errors import DataError

READ_BYTES = 2**22


class ArrayFile(BaseModel):
    """What the manifest says of one array.

    Args:
        dtype: Its little-endian number type, as NumPy writes it.
        length: Its length.
        digest: BLAKE2b of its bytes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    dtype: str
    length: int
    digest: str

    def open(self, path: Path) -> NDArray[Any]:
        """Map the file into memory; pages are read when they are touched, and shared by processes.

        Raises:
            DataError: The file is missing or has another size.
        """
        size = self.length * np.dtype(self.dtype).itemsize
        found = path.stat().st_size if path.is_file() else None
        if found != size:
            raise DataError(
                f"{path} should hold {size} bytes, but "
                f"{'is missing' if found is None else f'holds {found}'}; build the store again"
            )
        if not size:
            return np.empty(0, self.dtype)
        # Copy on write: nothing ever reaches the file, and PyTorch takes no read-only memory.
        return np.memmap(path, self.dtype, mode="c")

    def verify(self, path: Path) -> None:
        """Read the whole file.

        Raises:
            DataError: Its bytes are not those that were written.
        """
        digest = hashlib.blake2b(digest_size=16)
        with path.open("rb") as file:
            while block := file.read(READ_BYTES):
                digest.update(block)
        if digest.hexdigest() != self.digest:
            raise DataError(f"{path} has changed since it was written; build the store again")


class ArrayWriter:
    """Writes an array piece by piece; a context that closes the file.

    Args:
        path: The file, new.
        dtype: Number type of the array.
    """

    def __init__(self, path: Path, dtype: str) -> None:
        self._dtype = np.dtype(dtype).newbyteorder("<")
        self._file, self._digest = path.open("wb"), hashlib.blake2b(digest_size=16)
        self._length = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, values: NDArray[Any]) -> None:
        """Append values."""
        raw = np.ascontiguousarray(values, self._dtype)
        for start in range(0, len(raw), READ_BYTES):
            part = raw[start : start + READ_BYTES].data
            self._digest.update(part)
            self._file.write(part)
        self._length += len(raw)

    def finish(self) -> ArrayFile:
        """Flush the file to the disk and return what there is to say of it."""
        self._file.flush()
        os.fsync(self._file.fileno())
        return ArrayFile(
            dtype=self._dtype.str, length=self._length, digest=self._digest.hexdigest()
        )


def write_array(path: Path, values: NDArray[Any]) -> ArrayFile:
    """Write a whole array."""
    with ArrayWriter(path, values.dtype.str) as writer:
        writer.write(values)
        return writer.finish()
