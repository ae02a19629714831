"""What is each part worth? The default recommender less one part at a time, on the same users.

Run it with `python -m graphmeta.experiments.ablation`; `--help` lists the options.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, model_validator
from rich.console import Console
from torch_geometric.data import HeteroData

from graphmeta.data import ColdSplit, audit_split, named_sets, split_cold_users
from graphmeta.data.named_sets import DEFAULT as DEFAULT_DATA
from graphmeta.errors import OutOfMemoryError
from graphmeta.experiments.ablated import DEFAULT, VARIANTS, ablated, has_part
from graphmeta.experiments.ablation_report import ablation_report
from graphmeta.experiments.run_folder import RunFolder
from graphmeta.experiments.sessions import session_lines
from graphmeta.experiments.settings import Count, NotNegative
from graphmeta.experiments.trained_cells import (
    finished_cells,
    fit_and_score,
    grid_main,
    open_cells,
    refuse_unknown,
)

PROGRAM = "python -m graphmeta.experiments.ablation"
PURPOSE = "Compare the default recommender with itself less one part, on users never seen."
# What a run that goes on may change: which cells are computed.
GRID = ("data", "variants", "seeds", "data_root")


class AblationSettings(BaseModel):
    """Everything that decides the result."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: tuple[str, ...] = Field((DEFAULT_DATA,), min_length=1, description="named data sets")
    data_root: Path | None = Field(
        None, description="folder of local data sets; else the variable GRAPHMETA_DATA_ROOT"
    )
    variants: tuple[str, ...] = Field(
        tuple(VARIANTS), min_length=1, description="variants; the default one is always there"
    )
    seeds: tuple[NotNegative, ...] = Field((0, 1, 2), min_length=1, description="split seeds")
    k: tuple[Count, ...] = Field((1, 3, 5, 10), min_length=1, description="support sizes")
    epochs: Count = Field(20, description="most epochs of training")
    min_steps: Count = Field(50, description="least steps of an epoch; small sets repeat users")

    @model_validator(mode="after")
    def _is_known(self) -> Self:
        sets = tuple(entry.name for entry in named_sets())
        refuse_unknown(self, data=sets, variants=tuple(VARIANTS))
        return self


def main(argv: list[str] | None = None) -> int:
    """Run what is not finished, write the report and return the exit code, 2 for bad input."""
    return grid_main(AblationSettings, argv, program=PROGRAM, purpose=PURPOSE, grid=GRID, run=run)


def run(
    folder: RunFolder,
    settings: AblationSettings,
    graphs: Mapping[str, HeteroData],
    words: Console,
) -> None:
    """Compute the cells that are not there yet, then the report from all that are.

    A variant that needs more memory than there is gets a cell that says so; the default must fit.

    Raises:
        GraphMetaError: A cell fails, or a file cannot be written.
    """
    variants = tuple(dict.fromkeys((DEFAULT, *settings.variants)))
    for data, graph in graphs.items():
        present = [name for name in variants if has_part(name, graph)]
        for seed in settings.seeds:
            split = None
            for name, place in open_cells(folder, data, seed, present, words):
                if split is None:
                    split = split_cold_users(graph, seed=seed)
                    audit_split(split)
                _compute(folder, place, split, settings, name)
                write_report(folder)
    write_report(folder)


def _compute(
    folder: RunFolder, place: str, split: ColdSplit, settings: AblationSettings, name: str
) -> None:
    training = {"epochs": settings.epochs, "min_steps": settings.min_steps}
    model = ablated(name, split.train, seed=split.seed, **training)
    try:
        fit_and_score(folder, place, split, model, k=settings.k)
    except OutOfMemoryError as error:
        if name == DEFAULT:
            raise  # There is nothing to compare with.
        folder.write_json(f"{place}.json", {"refused": str(error)})


def write_report(folder: RunFolder) -> None:
    """Write `report.md` from all cells that are there, whichever command computed them.

    Raises:
        OutputError: It cannot be written.
    """
    frames, cells = [], []
    sets = [entry.name for entry in named_sets()]
    for place, found in finished_cells(folder, tuple(VARIANTS), data=sets):
        labels: dict[str, Any] = {"data": found["data"], "variant": found["method"]}
        labels["seed"] = found["seed"]
        cell = folder.read_json(f"{place}.json")
        cells.append({**labels, **cell})
        if "refused" not in cell:
            frames.append(pd.read_parquet(folder.path / f"{place}.parquet").assign(**labels))
    per_user = pd.concat(frames, ignore_index=True)
    folder.write_text("report.md", ablation_report(per_user, cells, session_lines(folder)))


if __name__ == "__main__":
    sys.exit(main())
