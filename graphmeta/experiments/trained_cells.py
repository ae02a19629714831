"""What experiments share that train recommenders: settings, graphs, and a cell's files."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
from pydantic import BaseModel
from torch_geometric.data import HeteroData

from graphmeta.data import ColdSplit, load_named
from graphmeta.data.split import history_size
from graphmeta.errors import ConfigError
from graphmeta.experiments.command_line import CommandLine
from graphmeta.experiments.contrasts import SHOWN
from graphmeta.experiments.run_folder import CONFIG, RunFolder
from graphmeta.experiments.settings import read_toml, validated
from graphmeta.ranking import ColdStartRecommender, evaluate

Settings = TypeVar("Settings", bound=BaseModel)


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
        if min(k) > largest:
            raise ConfigError(
                f"k={min(k)} is above {largest}, the largest support of {name!r}; lower --k"
            )
    return graphs


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
    is_adaptive = model.learner is not None and model.learner.is_adaptive
    cell: dict[str, Any] = {"seconds": round(time.perf_counter() - start, 1)}
    cell |= {"losses": model.losses, "validation": model.validation_scores}
    cell["adapts"] = {str(size): is_adaptive and model.is_adapted(size) for size in sizes}
    folder.write_json(f"{place}.json", cell)
