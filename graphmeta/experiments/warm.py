"""Must a user change models on becoming well known? The cold-start model on most of a history.

Run it with `python -m graphmeta.experiments.warm --data-root FOLDER`: the recommender is trained
for few shots, as always, and ranks for held-out users who show 80 % of their items; baselines are
tuned for just that. `--help` lists the options.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Self

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, model_validator
from rich.console import Console
from torch_geometric.data import HeteroData

from graphmeta.data import ColdSplit, audit_split, split_cold_users, split_warm_users
from graphmeta.experiments.cell import plain_rows
from graphmeta.experiments.methods import Tunable
from graphmeta.experiments.pooled import edge_notes
from graphmeta.experiments.run_folder import RunFolder
from graphmeta.experiments.sessions import session_lines
from graphmeta.experiments.settings import DEFAULT_K, Count, NotNegative
from graphmeta.experiments.trained_cells import (
    finished_cells,
    grid_main,
    open_cells,
    refuse_unknown,
)
from graphmeta.experiments.warm_report import OURS, WITHOUT_LINEAR, warm_report
from graphmeta.ranking import ColdStartRecommender, Scorer, baselines, run_canaries
from graphmeta.ranking.evaluate import evaluate
from graphmeta.ranking.tuning import tune

PROGRAM = "python -m graphmeta.experiments.warm"
PURPOSE = "Rank for well-known users with the model that was trained for new ones."
GRID = ("data", "methods", "seeds", "data_root")


class WarmSettings(BaseModel):
    """Everything that decides the result."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: tuple[str, ...] = Field(("ml-1m", "gowalla"), min_length=1, description="data sets")
    data_root: Path | None = Field(
        None, description="folder of local data sets; else the variable GRAPHMETA_DATA_ROOT"
    )
    methods: tuple[str, ...] = Field((), description="methods to compare; all by default")
    seeds: tuple[NotNegative, ...] = Field((0, 1, 2), min_length=1, description="split seeds")
    share: float = Field(0.8, gt=0, lt=1, description="share of a history that users show")
    epochs: Count = Field(20, description="most epochs of training")
    tuning_users: Count = Field(1000, description="most validation users to tune baselines on")

    @model_validator(mode="after")
    def _is_known(self) -> Self:
        refuse_unknown(self, methods=tuple(METHODS))
        return self


# Fits on a split, and returns a scorer and what was chosen for it.
Prepare = Callable[[HeteroData, ColdSplit, WarmSettings], tuple[Scorer, list[dict[str, Any]]]]


def _tuned(
    kind: type[Tunable], graph: HeteroData, split: ColdSplit, settings: WarmSettings
) -> tuple[Scorer, list[dict[str, Any]]]:
    tuned = tune(
        kind.search_space(),
        split.train,
        split.validation,
        k=(split.validation.k_max,),
        max_users=settings.tuning_users,
        seed=split.seed,
    )
    return tuned, plain_rows(tuned.report)


def _recommender(
    graph: HeteroData, split: ColdSplit, settings: WarmSettings, **options: Any
) -> tuple[Scorer, list[dict[str, Any]]]:
    """Fit for few shots; it sees validation users who show a few items, as in the benchmark."""
    cold = split_cold_users(graph, seed=split.seed)
    model = ColdStartRecommender(epochs=settings.epochs, seed=split.seed, **options)
    model.fit(cold.train, cold.validation)
    about = {"epoch": model.best_epoch, "gate": str(model.gate), "linear": str(model.linear)}
    return model, [about]


METHODS: Mapping[str, Prepare] = {
    "popularity": partial(_tuned, baselines.Popularity),
    "item-knn": partial(_tuned, baselines.ItemKNN),
    "user-knn": partial(_tuned, baselines.UserKNN),
    "ease": partial(_tuned, baselines.EASE),
    "ials": partial(_tuned, baselines.IALS),
    "graph-filter": partial(_tuned, baselines.GraphFilter),
    "mult-vae": partial(_tuned, baselines.MultVAE),
    "light-gcn": partial(_tuned, baselines.LightGCN),
    OURS: _recommender,
    WITHOUT_LINEAR: partial(_recommender, without=("linear",)),
}


def main(argv: list[str] | None = None) -> int:
    """Run what is not finished, write the report and return the exit code, 2 for bad input."""
    return grid_main(WarmSettings, argv, program=PROGRAM, purpose=PURPOSE, grid=GRID, run=run)


def run(
    folder: RunFolder,
    settings: WarmSettings,
    graphs: Mapping[str, HeteroData],
    words: Console,
) -> None:
    """Compute the cells that are not there yet, and after each the report of all that are.

    Raises:
        GraphMetaError: A split leaks, a cell fails, or a file cannot be written.
    """
    for name, graph in graphs.items():
        for seed in settings.seeds:
            split = split_warm_users(graph, seed=seed, share=settings.share)
            new = split_cold_users(graph, seed=seed)
            for each in (split, new):
                audit_split(each)
                known = each.validation
                run_canaries(known, k=(known.k_max,), seed=seed)
            methods = settings.methods or tuple(METHODS)
            for method, place in open_cells(folder, name, seed, methods, words):
                start = time.perf_counter()
                scorer, chosen = METHODS[method](graph, split, settings)
                found = evaluate(scorer, split.test, k=(split.test.k_max,), seed=seed).per_user
                seconds = round(time.perf_counter() - start, 1)
                shown = split.test.first.size.numpy()
                folder.write_frame(f"{place}.parquet", found.drop(columns="k").assign(shown=shown))
                if method == OURS:
                    sizes = [k for k in DEFAULT_K if k <= new.k_max]
                    few = evaluate(scorer, new.test, k=sizes, seed=seed).per_user
                    folder.write_frame(f"{place}-few.parquet", few)
                folder.write_json(f"{place}.json", {"seconds": seconds, "chosen": chosen})
                write_report(folder, settings.share)
    write_report(folder, settings.share)


def write_report(folder: RunFolder, share: float) -> None:
    """Write `report.md` from all cells that are there.

    Raises:
        OutputError: It cannot be written.
    """
    parts, few, tuning = [], [], []
    for place, cell in finished_cells(folder, tuple(METHODS)):
        about = folder.read_json(f"{place}.json") or {}
        found = pd.read_parquet(folder.path / f"{place}.parquet")
        parts.append(found.assign(**cell, seconds=about["seconds"]))
        tuning += [{**cell, **row} for row in about["chosen"]]
        shots = folder.path / f"{place}-few.parquet"
        few += [pd.read_parquet(shots).assign(**cell)] if shots.is_file() else []
    text = warm_report(
        pd.concat(parts, ignore_index=True),
        pd.concat(few, ignore_index=True) if few else None,
        session_lines(folder),
        share,
        notes=edge_notes(tuning),
    )
    folder.write_text("report.md", text)


if __name__ == "__main__":
    sys.exit(main())
