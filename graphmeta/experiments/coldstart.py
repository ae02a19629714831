"""The main job: how well is a brand-new user served after a few interactions?

Run it with `python -m graphmeta.experiments.coldstart`; `--help` lists the options.
"""

from __future__ import annotations

import os
import shlex
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import torch
from rich.console import Console

from graphmeta.errors import (
    ConfigError,
    GraphMetaError,
    LeakageError,
    NonFiniteError,
    OutputError,
    ProtocolError,
)
from graphmeta.experiments.command_line import CommandLine, parse_command_line
from graphmeta.experiments.figure import has_matplotlib
from graphmeta.experiments.fill_cells import fill_cells
from graphmeta.experiments.manifest import environment, now
from graphmeta.experiments.methods import choose_methods
from graphmeta.experiments.outcome import Held, write_outcome
from graphmeta.experiments.run_checks import check_protocol
from graphmeta.experiments.run_data import RunData, load_run_data
from graphmeta.experiments.run_folder import CONFIG, MANIFEST, RunFolder, check_creatable
from graphmeta.experiments.settings import (
    ColdStartSettings,
    changed_settings,
    read_settings,
    settings_toml,
)

PROGRAM = "python -m graphmeta.experiments.coldstart"
PURPOSE = "Rank the catalogue for users never seen, after 0 to 10 interactions, by many methods."
BAD_INPUT, FAILED, INTERRUPTED = 2, 1, 130


def main(argv: list[str] | None = None) -> int:
    """Run the experiment and return the exit code.

    0 is success, 1 a run that failed its own checks, 2 bad input or an unwritable folder, 130
    an interruption. Every failure is one line on standard error.
    """
    words = Console(stderr=True)
    began: list[RunFolder] = []
    try:
        line = parse_command_line(ColdStartSettings, argv, program=PROGRAM, purpose=PURPOSE)
        run(line, console=Console(), words=words, began=began)
    except KeyboardInterrupt:
        _say(words, f"interrupted; {_how_to_resume(began)}")
        return INTERRUPTED
    except GraphMetaError as error:
        text = " ".join(str(error).split())
        if began and isinstance(error, OutputError):
            text += f" (then {_how_to_resume(began)})"
        _say(words, f"error: {text}")
        return FAILED if _is_failure(error) else BAD_INPUT
    return 0


def run(line: CommandLine, *, console: Console, words: Console, began: list[RunFolder]) -> None:
    """Run or continue the experiment that a command line describes.

    Args:
        line: What the caller typed.
        console: Where the table goes.
        words: Where notices and progress bars go.
        began: Receives the run folder as soon as there is one.

    Raises:
        GraphMetaError: The run cannot be made, or fails its own checks.
    """
    began_at = time.monotonic()
    folder = RunFolder.reopen(line.out) if line.resume and line.out is not None else None
    settings = _settings(line, folder)
    methods = choose_methods(settings.methods)
    out = line.out or _default_folder(settings)
    if folder is None:
        check_creatable(out)
    names = tuple(method.name for method in methods)
    data = load_run_data(settings.model_copy(update={"methods": names}))
    _tell_notices(data, words)
    if folder is None:
        check_protocol(data)
        manifest = _first_manifest(data, line)
        folder = RunFolder.create(out, config=settings_toml(data.settings), manifest=manifest)
    else:
        _check_same_data(folder, data)
        check_protocol(data)
    began.append(folder)
    cells, memory = fill_cells(data, methods, folder, words)
    held = Held(began_at=began_at, worker_memory_mib=memory)
    write_outcome(cells, data, methods, folder, console, held)
    _say(words, f"the run is in {folder.path}")


def _settings(line: CommandLine, folder: RunFolder | None) -> ColdStartSettings:
    if folder is not None:
        settings = _resumed_settings(folder, line)
    else:
        settings = read_settings(line.config, line.overrides)
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device='cuda' but PyTorch sees no GPU; use --device cpu")
    return settings.model_copy(update={"workers": _workers(settings)})


def _tell_notices(data: RunData, words: Console) -> None:
    for notice in data.notices:
        _say(words, f"note: {notice}")
    if not has_matplotlib():
        _say(words, "note: no figures without matplotlib; pip install 'graphmeta[plot]'")


def _resumed_settings(folder: RunFolder, line: CommandLine) -> ColdStartSettings:
    old = read_settings(folder.path / CONFIG)
    given = {} if line.config is None else read_settings(line.config).model_dump(exclude_unset=True)
    wanted = {**old.model_dump(exclude_none=True), **given, **line.overrides}
    new = read_settings(None, wanted)
    changed = changed_settings(old, new)
    changed.pop("data_root", None)  # The data may have moved; their fingerprint is compared.
    if changed:
        name, (before, after) = next(iter(changed.items()))
        raise ConfigError(
            f"the run in {folder.path} was begun with {name}={before}, not {after}; leave "
            f"--{name.replace('_', '-')} out, or start anew with another --out"
        )
    return new


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


def _first_manifest(data: RunData, line: CommandLine) -> dict[str, object]:
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
        "command": f"{PROGRAM} {shlex.join(line.words)}".strip(),
        "status": "begun",
        "started": now(),
        "seeds": list(data.settings.seeds or ()),
        "data": {"name": data.settings.data_name, "sha256": data.fingerprint, **data.sizes},
        "splits": splits,
        **environment(),
    }


def _default_folder(settings: ColdStartSettings) -> Path:
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    return Path("runs") / f"coldstart-{settings.data_name}-{stamp}"


def _is_failure(error: GraphMetaError) -> bool:
    """Whether a run failed its own checks or broke, rather than got something that cannot work."""
    checks = LeakageError | NonFiniteError | ProtocolError
    return isinstance(error, checks) or type(error) is GraphMetaError


def _how_to_resume(began: list[RunFolder]) -> str:
    if not began:
        return "nothing was written"
    return f"continue with: {PROGRAM} --resume {shlex.quote(str(began[0].path))}"


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
