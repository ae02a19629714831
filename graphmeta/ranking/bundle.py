"""One file for a trained model: tensors, settings and ids, of which none is ever executed."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from graphmeta.data.whole_file import write_whole
from graphmeta.errors import DataError, DataNotFoundError

# Raised when files change such that older releases cannot read them.
FORMAT = 4
MANIFEST = "manifest.json"
# The date of every part, so that the same model makes the same file.
NO_DATE = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Bundle:
    """What the file of a model holds.

    Args:
        config: Settings, as JSON has them.
        tensors: Groups of named tensors.
        tables: Named Arrow tables, such as the one column of ids.
    """

    config: dict[str, Any]
    tensors: dict[str, dict[str, Tensor]]
    tables: dict[str, pa.Table]


def write_bundle(path: str | Path, bundle: Bundle) -> None:
    """Write a zip file of JSON, safetensors and Arrow parts and a manifest of their checksums.

    Raises:
        OutputError: The file cannot be written; an older one is as it was.
    """
    parts = {"config.json": _json(bundle.config)}
    for name, tensors in bundle.tensors.items():
        ready = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
        parts[f"{name}.safetensors"] = save(ready)
    for name, table in bundle.tables.items():
        parts[f"{name}.arrow"] = _arrow(table)
    manifest = {
        "format": FORMAT,
        "graphmeta": version("graphmeta"),
        "sha256": {name: hashlib.sha256(part).hexdigest() for name, part in parts.items()},
    }

    def write(partial: Path) -> None:
        with zipfile.ZipFile(partial, "w") as archive:
            for name, part in {MANIFEST: _json(manifest), **parts}.items():
                info = zipfile.ZipInfo(name, NO_DATE)
                archive.writestr(info, part, zipfile.ZIP_DEFLATED, compresslevel=1)

    write_whole(path, write)


def read_bundle(path: str | Path) -> Bundle:
    """Return what `write_bundle` wrote.

    The checksums tell damage, not intent: whoever can change a file can change them too.

    Raises:
        DataNotFoundError: There is no such file.
        DataError: It is damaged, no bundle, or of a later format than this release reads.
    """
    try:
        return _read(Path(path))
    except FileNotFoundError as error:
        raise DataNotFoundError(f"no file {path}; check the path") from error
    except (
        OSError,
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        RuntimeError,  # Of zipfile: a password, or a compression that it does not know.
        KeyError,
        TypeError,
        AttributeError,
        UnicodeDecodeError,
        json.JSONDecodeError,
        pa.ArrowException,
        SafetensorError,
    ) as error:
        raise DataError(
            f"{path} is damaged or no bundle ({type(error).__name__}: {error}); save it again"
        ) from error


def _read(path: Path) -> Bundle:
    with zipfile.ZipFile(path) as archive:
        manifest = json.loads(archive.read(MANIFEST))
        if manifest["format"] > FORMAT:
            raise DataError(
                f"{path} has format {manifest['format']}, written by graphmeta "
                f"{manifest['graphmeta']}; this release reads up to {FORMAT}: upgrade graphmeta"
            )
        parts = {name: archive.read(name) for name in manifest["sha256"]}
    for name, digest in manifest["sha256"].items():
        if hashlib.sha256(parts[name]).hexdigest() != digest:
            raise DataError(f"{name} in {path} is not what was saved; take another copy")
    config = json.loads(parts.pop("config.json"))
    tensors, tables = {}, {}
    for name, part in parts.items():
        stem, _, kind = name.rpartition(".")
        if kind == "safetensors":
            tensors[stem] = load(part)
        else:
            tables[stem] = pa.ipc.open_stream(part).read_all()
    return Bundle(config, tensors, tables)


def _json(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, indent=1, sort_keys=True).encode()


def _arrow(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()
