"""Fills the cells of a run: every method on every split, each written as it is finished."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

import pandas as pd
from rich.console import Console

from graphmeta.data import ColdSplit
from graphmeta.experiments.cell import Cell, cell_place
from graphmeta.experiments.methods import Method
from graphmeta.experiments.run_data import RunData
from graphmeta.experiments.run_folder import RunFolder
from graphmeta.experiments.run_progress import RunProgress
from graphmeta.experiments.seed_run import SeedRun
from graphmeta.ranking import evaluate


def fill_cells(
    data: RunData, methods: Sequence[Method], folder: RunFolder, words: Console
) -> list[Cell]:
    """Return all cells, those found finished in the folder and those computed now.

    Raises:
        GraphMetaError: A method fails, or a file cannot be written.
    """
    cells = []
    with RunProgress(words, total=len(data.splits) * len(methods)) as progress:
        for split in data.splits:
            checkpoints = folder.path / "training"
            run = SeedRun.of(split, data.settings, checkpoints, progress.epoch)
            for method in methods:
                cell = Cell.load(folder, seed=split.seed, method=method.name)
                if cell is None:
                    progress.begin(split.seed, method.name)
                    cell = _compute(method, run, split, folder)
                    cell.save(folder)
                cells.append(cell)
                progress.finish()
    return cells


def _compute(method: Method, run: SeedRun, split: ColdSplit, folder: RunFolder) -> Cell:
    start = time.perf_counter()
    prepared = method.prepare(run)
    # What was chosen is written down before the test users are looked at.
    chosen = {"tuning": prepared.tuning, "losses": prepared.losses}
    folder.write_json(f"{cell_place(split.seed, method.name)}/chosen.json", chosen)
    found = evaluate(prepared.scorer, split.test, k=run.k, seed=split.seed)
    named: dict[str, Any] = {"seed": split.seed, "method": method.name}
    per_user = _labelled(found.per_user, named, ["seed", "method", "user", "k"])
    order = ["seed", "user", "method", "k", "rank", "item", "score"]
    catalogue: list[dict[str, Any]] = json.loads(found.catalogue.to_json(orient="records"))
    return Cell(
        **named,
        per_user=per_user,
        rankings=_labelled(found.rankings, named, order),
        catalogue=catalogue,
        tuning=prepared.tuning,
        losses=prepared.losses,
        seconds=round(time.perf_counter() - start, 3),
    )


def _labelled(frame: pd.DataFrame, named: dict[str, Any], first_columns: list[str]) -> pd.DataFrame:
    frame = frame.assign(**named)
    return frame[[*first_columns, *(c for c in frame.columns if c not in first_columns)]]
