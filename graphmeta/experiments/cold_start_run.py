"""One cold-start run: from settings to a folder with tables, figures and a manifest."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from graphmeta.errors import ConfigError
from graphmeta.experiments.cell import is_finished
from graphmeta.experiments.fill_cells import fill_cells
from graphmeta.experiments.manifest import environment, now
from graphmeta.experiments.methods import choose_methods
from graphmeta.experiments.outcome import Held, write_outcome
from graphmeta.experiments.run_checks import check_protocol
from graphmeta.experiments.run_data import RunData, load_run_data
from graphmeta.experiments.run_folder import CONFIG, MANIFEST, RunFolder, check_creatable
from graphmeta.experiments.run_progress import OnCell
from graphmeta.experiments.settings import (
    ColdStartSettings,
    changed_settings,
    read_settings,
    settings_toml,
)
from graphmeta.explain.figure import has_matplotlib

# A run that goes on may have more methods and splits, and its data may lie elsewhere.
MAY_CHANGE = ("methods", "seeds", "data_root", "workers")


def run_cold_start(
    overrides: dict[str, Any],
    out: Path | None,
    *,
    config: Path | None = None,
    command: str,
    console: Console,
    words: Console,
    began: list[RunFolder],
    is_resumed: bool = False,
    on_cell: OnCell | None = None,
) -> None:
    """Compute the cells that are not in the run's folder yet, then write the outcome.

    Args:
        overrides: Settings by name, as typed or as values.
        out: The run's folder; None for a new one named after the data and the time.
        config: A TOML file with further settings.
        command: What the caller typed, for the manifest.
        console: Where the table goes.
        words: Where notices and progress bars go.
        began: Receives the run folder as soon as there is one.
        is_resumed: Continue the run in `out`, perhaps with further methods and split seeds.
        on_cell: Told of each cell that is finished.

    Raises:
        GraphMetaError: The run cannot be made, does not fit the one in `out`, or fails its own
            checks.
    """
    began_at = time.monotonic()
    if is_resumed and out is not None:
        folder = RunFolder.reopen(out)
        settings = _resumed_settings(folder, config, overrides)
    else:
        folder = None
        settings = read_settings(config, overrides)
        out = out or _default_folder(settings)
        check_creatable(out)
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device='cuda' but PyTorch sees no GPU; use --device cpu")
    settings = settings.model_copy(update={"workers": _workers(settings)})
    methods = choose_methods(settings.methods)
    names = tuple(method.name for method in methods)
    data = load_run_data(settings.model_copy(update={"methods": names}))
    _tell_notices(data, words)
    if folder is None:
        check_protocol(data)
        manifest = _first_manifest(data, command)
        folder = RunFolder.create(out, config=settings_toml(data.settings), manifest=manifest)
    else:
        _check_same_data(folder, data)
        check_protocol(data)
        _note_session(folder, data, command)
    began.append(folder)
    cells, memory = fill_cells(data, methods, folder, words, on_cell)
    held = Held(began_at=began_at, worker_memory_mib=memory)
    write_outcome(cells, data, methods, folder, console, held)


def _default_folder(settings: ColdStartSettings) -> Path:
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    return Path("runs") / f"coldstart-{settings.data_name}-{stamp}"


def _note_session(folder: RunFolder, data: RunData, command: str) -> None:
    """Write down that the run goes on, perhaps with other methods or other code."""
    folder.write_text(CONFIG, settings_toml(data.settings))
    wanted = [(s.seed, name) for s in data.splits for name in data.settings.methods or ()]
    if all(is_finished(folder, seed=seed, method=name) for seed, name in wanted):
        return
    manifest = folder.read_json(MANIFEST) or {}
    session = {"command": command, "commit": environment()["commit"], "started": now()}
    manifest |= {"status": "begun", **_what_is_run(data)}
    manifest["continued"] = [*manifest.get("continued", []), session]
    folder.write_json(MANIFEST, manifest)


def _tell_notices(data: RunData, words: Console) -> None:
    for notice in data.notices:
        say(words, f"note: {notice}")
    if not has_matplotlib():
        say(words, "note: no figures without matplotlib; pip install 'graphmeta[plot]'")


def _resumed_settings(
    folder: RunFolder, config: Path | None, overrides: dict[str, Any]
) -> ColdStartSettings:
    old = read_settings(folder.path / CONFIG)
    given = {} if config is None else read_settings(config).model_dump(exclude_unset=True)
    wanted = {**old.model_dump(exclude_none=True), **given, **overrides}
    new = read_settings(None, wanted)
    changed = changed_settings(old, new)
    for name in MAY_CHANGE:
        changed.pop(name, None)
    if changed:
        name, (before, after) = next(iter(changed.items()))
        raise ConfigError(
            f"the run in {folder.path} was begun with {name}={before}, not {after}; leave "
            f"--{name.replace('_', '-')} out, or start anew with another --out"
        )
    both: dict[str, Any] = {}
    for name in ("methods", "seeds"):
        values = (*(getattr(old, name) or ()), *(getattr(new, name) or ()))
        both[name] = tuple(dict.fromkeys(values)) or None
    return new.model_copy(update=both)


def _check_same_data(folder: RunFolder, data: RunData) -> None:
    began_with = (folder.read_json(MANIFEST) or {}).get("data", {}).get("sha256")
    if began_with != data.fingerprint:
        raise ConfigError(
            f"the interactions are not those that the run in {folder.path} was begun with; "
            "start anew with another --out"
        )


def _workers(settings: ColdStartSettings) -> int:
    """Return the number of processes; a GPU is not shared, and a smoke run is not worth it."""
    if settings.workers is not None:
        return settings.workers
    if settings.quick or settings.device != "cpu":
        return 1
    has_affinity = hasattr(os, "sched_getaffinity")  # Not on every system.
    cores = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
    return min(4, cores)


def _first_manifest(data: RunData, command: str) -> dict[str, object]:
    return {
        "command": command,
        "status": "begun",
        "started": now(),
        **_what_is_run(data),
        **environment(),
    }


def _what_is_run(data: RunData) -> dict[str, object]:
    splits = [
        {
            "seed": split.seed,
            "training_users": int(split.train["user"].num_nodes),
            "validation_users": len(split.validation),
            "test_users": len(split.test),
            "items": int(split.train["item"].num_nodes),
            "k_max": split.k_max,
        }
        for split in data.splits
    ]
    return {
        "seeds": list(data.settings.seeds or ()),
        "split": data.settings.split,
        "data": {"name": data.settings.data_name, "sha256": data.fingerprint, **data.sizes},
        "splits": splits,
    }


def say(console: Console, text: str) -> None:
    """Print a line as it is."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)
