"""Training states as files: named tensors, written whole or not at all, never executed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from graphmeta.data.whole_file import write_whole
from graphmeta.errors import DataError


def write_checkpoint(path: str | Path, state: Mapping[str, Tensor]) -> None:
    """Write named tensors as a safetensors file.

    Raises:
        OutputError: The file cannot be written; an older one is as it was.
    """
    tensors = {name: value.detach().cpu().clone().contiguous() for name, value in state.items()}

    def write(partial: Path) -> None:
        try:
            save_file(tensors, partial)
        except SafetensorError as error:  # Carries the I/O error as text.
            raise OSError(str(error)) from error

    write_whole(path, write)


def read_checkpoint(path: str | Path) -> dict[str, Tensor]:
    """Return the named tensors of a checkpoint.

    Raises:
        DataError: The file is damaged or no safetensors file.
    """
    try:
        return dict(load_file(path))
    except SafetensorError as error:
        raise DataError(f"cannot read the checkpoint {path} ({error}); remove it") from error
