"""What experiments share that train recommenders: settings, graphs, and a cell's files."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
from pydantic import BaseModel
from rich.console import Console
from torch_geometric.data import HeteroData

from graphmeta.data import ColdSplit, load_named
from graphmeta.data.split import history_size
from graphmeta.errors import ConfigError, DataError, GraphMetaError
from graphmeta.experiments.command_line import CommandLine, parse_command_line
from graphmeta.experiments.contrasts import SHOWN
from graphmeta.experiments.run_folder import CONFIG, RunFolder
from graphmeta.experiments.sessions import open_folder
from graphmeta.experiments.settings import read_toml, validated
from graphmeta.ranking import ColdStartRecommender, evaluate

Settings = TypeVar("Settings", bound=BaseModel)


def grid_main(
    kind: type[Settings],
    argv: list[str] | None,
    *,
    program: str,
    purpose: str,
    grid: Sequence[str],
    run: Callable[[RunFolder, Settings, Mapping[str, HeteroData], Console], None],
) -> int:
    """Run an experiment over data sets as a command; return the exit code, 2 for bad input.

    Args:
        kind: The settings; `data`, `data_root` and perhaps `k` among them.
        argv: What the caller typed; None for the process's own arguments.
        program: The command without its options.
        purpose: What it is for, in a line.
        grid: As in `grid_settings`.
        run: Computes what is not there yet; given the folder, the settings, the graphs by name,
            and where words go.
    """
    words, began = Console(stderr=True), list[Path]()
    try:
        line = parse_command_line(kind, argv, program=program, purpose=purpose)
        settings = grid_settings(kind, line, grid=grid)
        given: Any = settings
        graphs = load_graphs(given.data, given.data_root, k=getattr(given, "k", ()))
        folder = open_folder(line, settings, program=program)
        began.append(folder.path)
        run(folder, settings, graphs, words)
    except KeyboardInterrupt:
        place = shlex.quote(str(began[0])) if began else "FOLDER"
        words.print(f"interrupted; continue with: {program} --resume {place}", markup=False)
        return 130
    except GraphMetaError as error:
        words.print(f"error: {error}", markup=False, soft_wrap=True)
        return 2
    return 0


def refuse_unknown(settings: BaseModel, **known: Sequence[str]) -> None:
    """Refuse names that a setting does not know.

    Raises:
        ValueError: A value of a setting is not among those known for it; the message lists them.
    """
    for setting, names in known.items():
        for value in getattr(settings, setting):
            if value not in names:
                raise ValueError(f"there is no {value!r}; known {setting}: {', '.join(names)}")


def grid_settings(kind: type[Settings], line: CommandLine, *, grid: Sequence[str]) -> Settings:
    """Return the settings of a new run, or of one that goes on, perhaps with other cells.

    Args:
        kind: The settings.
        line: What the caller typed.
        grid: Settings that say which cells are computed; a run that goes on may change them.

    Raises:
        ConfigError: A setting is bad, or one of a begun run was to change.
        DataNotFoundError: There is no run to resume, or no configuration file.
    """
    if not (line.resume and line.out is not None):
        given = {} if line.config is None else read_toml(line.config)
        return validated(kind, {**given, **line.overrides})
    fixed = [name for name in line.overrides if name not in grid]
    if fixed or line.config is not None:
        what = ", ".join(fixed) or "configuration"
        raise ConfigError(f"a run that is continued keeps its {what}; leave it out")
    held = read_toml(RunFolder.reopen(line.out).path / CONFIG)
    return validated(kind, {**held, **line.overrides})


def load_graphs(
    names: Sequence[str], data_root: Path | None, *, k: Sequence[int]
) -> dict[str, HeteroData]:
    """Return the data sets by name.

    Raises:
        DataNotFoundError: A data set is not there.
        ConfigError: No support size is one that its splits hold.
    """
    graphs = {name: load_named(name, data_root=data_root) for name in names}
    for name, graph in graphs.items():
        largest = history_size(graph, None)
        if k and min(k) > largest:
            raise ConfigError(
                f"k={min(k)} is above {largest}, the largest support of {name!r}; lower --k"
            )
    return graphs


def open_cells(
    folder: RunFolder, data: str, seed: int, methods: Iterable[str], words: Console
) -> Iterator[tuple[str, str]]:
    """Yield the methods that a split of a data set has no finished cell of, with the cell's place.

    Each is told as it is begun. A cell is `place`.parquet, and `place`.json that marks it finished.

    Args:
        folder: The run.
        data: The data set; "/" and the part or the encoder behind it where a run has several.
        seed: The split seed.
        methods: What is to be computed.
        words: Where it is told.
    """
    for method in methods:
        place = f"cells/{data}/{method}/seed-{seed}"
        if folder.read_json(f"{place}.json") is None:
            words.print(f"{data}, seed {seed}: {method}", markup=False)
            yield method, place


def finished_cells(
    folder: RunFolder, methods: Sequence[str], *, data: Sequence[str] = ()
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the place of every finished cell, and its data, method and seed, in a table's order.

    Args:
        folder: The run.
        methods: All that there are, in the order of the table.
        data: All data as `open_cells` was given, in the order of the table; by name where left out.
    """
    cells = folder.path / "cells"
    found = [
        {
            "data": file.parent.parent.relative_to(cells).as_posix(),
            "method": file.parent.name,
            "seed": int(file.stem.removeprefix("seed-")),
        }
        for file in cells.rglob("seed-*.json")
    ]

    def in_table(cell: dict[str, Any]) -> tuple[Any, ...]:
        place = data.index(cell["data"]) if data else cell["data"]
        return place, methods.index(cell["method"]), cell["seed"]

    for cell in sorted(found, key=in_table):
        yield "cells/{data}/{method}/seed-{seed}".format(**cell), cell


def write_cell(folder: RunFolder, place: str, compute: Callable[[], pd.DataFrame]) -> None:
    """Write what a cell comes to as `place`.parquet, and `place`.json with the seconds it took.

    Raises:
        GraphMetaError: It cannot be computed, or a file cannot be written.
    """
    start = time.perf_counter()
    folder.write_frame(f"{place}.parquet", compute())
    folder.write_json(f"{place}.json", {"seconds": round(time.perf_counter() - start, 1)})


def finished_frame(folder: RunFolder, methods: Sequence[str]) -> pd.DataFrame:
    """Return what `write_cell` wrote, with columns data, method and seed, in a table's order.

    Of a data set only the splits are in it that all its methods are finished on: methods are
    compared on the same users. The others come in when their cells do.

    Args:
        folder: The run.
        methods: As in `finished_cells`.

    Raises:
        DataError: There is no such split.
    """
    cells = list(finished_cells(folder, methods))
    done: dict[str, dict[str, set[int]]] = {}
    for _, cell in cells:
        done.setdefault(cell["data"], {}).setdefault(cell["method"], set()).add(cell["seed"])
    shared = {data: set.intersection(*of.values()) for data, of in done.items()}
    frames = [
        pd.read_parquet(folder.path / f"{place}.parquet").assign(**cell)
        for place, cell in cells
        if cell["seed"] in shared[cell["data"]]
    ]
    if not frames:
        raise DataError(
            f"no split in {folder.path} is finished by all methods of its data set, so nothing "
            "can be compared; go on with the methods and seeds that are there"
        )
    return pd.concat(frames, ignore_index=True)


def fit_and_score(
    folder: RunFolder,
    place: str,
    split: ColdSplit,
    model: ColdStartRecommender,
    *,
    k: Sequence[int],
) -> None:
    """Train the model and write `place`.parquet, its test users' figures, and `place`.json.

    The figures are columns user, k, ndcg@10 and scorer, "adapted" or "unadapted"; the second
    file, which marks the cell as finished, has the seconds, losses, validation figures and gate.

    Raises:
        GraphMetaError: Training fails, or a file cannot be written.
    """
    start = time.perf_counter()
    model.fit(split.train, split.validation)
    sizes = [size for size in k if size <= split.k_max]
    parts = []
    for name, scorer in (("adapted", model.adapted()), ("unadapted", model.unadapted())):
        found = evaluate(scorer, split.test, k=sizes, seed=split.seed).per_user
        parts.append(found[["user", "k", SHOWN]].assign(scorer=name))
    folder.write_frame(f"{place}.parquet", pd.concat(parts, ignore_index=True))
    is_adaptive = model.fitted.learner.is_adaptive
    cell: dict[str, Any] = {"seconds": round(time.perf_counter() - start, 1)}
    cell |= {"losses": model.losses, "validation": model.validation_scores}
    cell["adapts"] = {str(size): is_adaptive and model.is_adapted(size) for size in sizes}
    folder.write_json(f"{place}.json", cell)
