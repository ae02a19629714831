"""Does adapting pay? Every learner on every encoder, adapted against unadapted, by user.

Run it with `python -m graphmeta.experiments.learners`; `--help` lists the options.
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
from graphmeta.data.named_sets import DEFAULT
from graphmeta.experiments.learner_report import learner_report
from graphmeta.experiments.named_encoders import ENCODERS
from graphmeta.experiments.named_learners import LEARNERS, build_learner
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
from graphmeta.ranking import ColdStartRecommender

PROGRAM = "python -m graphmeta.experiments.learners"
PURPOSE = "Compare learners on encoders: adapted against unadapted, on users never seen."
# What a run that goes on may change: which cells are computed.
GRID = ("data", "learners", "encoders", "seeds", "data_root")


class LearnersSettings(BaseModel):
    """Everything that decides the result."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: tuple[str, ...] = Field((DEFAULT,), min_length=1, description="named data sets")
    data_root: Path | None = Field(
        None, description="folder of local data sets; else the variable GRAPHMETA_DATA_ROOT"
    )
    learners: tuple[str, ...] = Field(LEARNERS, min_length=1, description="learners to compare")
    encoders: tuple[str, ...] = Field(("relation",), min_length=1, description="encoders")
    seeds: tuple[NotNegative, ...] = Field((0, 1, 2), min_length=1, description="split seeds")
    k: tuple[Count, ...] = Field((1, 3, 5), min_length=1, description="support sizes")
    epochs: Count = Field(4, description="epochs of training; the best one counts")
    min_steps: Count = Field(50, description="least steps of an epoch; small sets repeat users")
    channels: Count = Field(64, description="width of the embeddings")
    batch_size: Count = Field(64, description="users per outer step")
    lr: float = Field(3e-3, gt=0, allow_inf_nan=False, description="step size")

    @model_validator(mode="after")
    def _is_known(self) -> Self:
        sets = tuple(entry.name for entry in named_sets())
        refuse_unknown(self, data=sets, learners=LEARNERS, encoders=tuple(ENCODERS))
        return self


def main(argv: list[str] | None = None) -> int:
    """Run what is not finished, write the report and return the exit code, 2 for bad input."""
    return grid_main(LearnersSettings, argv, program=PROGRAM, purpose=PURPOSE, grid=GRID, run=run)


def run(
    folder: RunFolder,
    settings: LearnersSettings,
    graphs: Mapping[str, HeteroData],
    words: Console,
) -> None:
    """Compute the cells that are not there yet, then the report from all that are.

    Raises:
        GraphMetaError: A cell fails, or a file cannot be written.
    """
    for data, graph in graphs.items():
        for seed in settings.seeds:
            split = None
            for encoder in settings.encoders:
                where = f"{data}/{encoder}"
                for learner, place in open_cells(folder, where, seed, settings.learners, words):
                    if split is None:
                        split = split_cold_users(graph, seed=seed)
                        audit_split(split)
                    _compute(folder, place, split, settings, encoder, learner)
                    write_report(folder)
    write_report(folder)


def write_report(folder: RunFolder) -> None:
    """Write `report.md` from all cells that are there, whichever command computed them.

    Raises:
        OutputError: It cannot be written.
    """
    frames, seconds = [], []
    order = [f"{entry.name}/{encoder}" for entry in named_sets() for encoder in ENCODERS]
    for place, cell in finished_cells(folder, LEARNERS, data=order):
        data, encoder = cell["data"].split("/")
        labels: dict[str, Any] = {"data": data, "encoder": encoder, "learner": cell["method"]}
        labels["seed"] = cell["seed"]
        frames.append(pd.read_parquet(folder.path / f"{place}.parquet").assign(**labels))
        seconds.append({**labels, "seconds": folder.read_json(f"{place}.json")["seconds"]})
    report = learner_report(
        pd.concat(frames, ignore_index=True),
        pd.DataFrame(seconds),
        session_lines(folder),
    )
    folder.write_text("report.md", report)


def _compute(
    folder: RunFolder,
    place: str,
    split: ColdSplit,
    settings: LearnersSettings,
    encoder: str,
    learner: str,
) -> None:
    model = ColdStartRecommender(
        build_learner(learner, encoder, split.train, channels=settings.channels, seed=split.seed),
        channels=settings.channels,
        epochs=settings.epochs,
        min_steps=settings.min_steps,
        batch_size=settings.batch_size,
        lr=settings.lr,
        seed=split.seed,
    )
    fit_and_score(folder, place, split, model, k=settings.k)


if __name__ == "__main__":
    sys.exit(main())
