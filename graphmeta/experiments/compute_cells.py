"""Computes cells of a run: tune, train, score, write."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Protocol

import pandas as pd

from graphmeta.data import ColdSplit
from graphmeta.experiments.cell import Cell, cell_place, plain_rows
from graphmeta.experiments.manifest import environment
from graphmeta.experiments.methods import Method
from graphmeta.experiments.run_folder import RunFolder
from graphmeta.experiments.seed_run import SeedRun
from graphmeta.experiments.settings import ColdStartSettings
from graphmeta.ranking import evaluate


class Observer(Protocol):
    """Is told how the work goes on."""

    def begin(self, seed: int, method: str) -> None:
        """A cell is begun."""
        ...

    def epoch(self, epoch: int, epochs: int, loss: float) -> None:
        """An epoch, counted from 1, has ended."""
        ...

    def finish(self, seed: int, method: str) -> None:
        """A cell is finished and written."""
        ...


def compute_cells(
    methods: Sequence[Method],
    split: ColdSplit,
    settings: ColdStartSettings,
    folder: RunFolder,
    observer: Observer,
) -> None:
    """Compute and write the cells of some methods on one split, in which they share training.

    Raises:
        GraphMetaError: A method fails, or a file cannot be written.
    """
    run = SeedRun.of(split, settings, folder.folder("training"), observer.epoch)
    for method in methods:
        observer.begin(split.seed, method.name)
        _computed(method, run, split, folder).save(folder)
        observer.finish(split.seed, method.name)


def _computed(method: Method, run: SeedRun, split: ColdSplit, folder: RunFolder) -> Cell:
    start = time.perf_counter()
    prepared = method.prepare(run)
    # What was chosen is written down before the test users are looked at.
    chosen = {"tuning": prepared.tuning, "losses": prepared.losses}
    folder.write_json(f"{cell_place(split.seed, method.name)}/chosen.json", chosen)
    found = evaluate(prepared.scorer, split.test, k=run.k, seed=split.seed)
    named: dict[str, Any] = {"seed": split.seed, "method": method.name}
    per_user = _labelled(found.per_user, named, ["seed", "method", "user", "k"])
    order = ["seed", "user", "method", "k", "rank", "item", "score"]
    return Cell(
        **named,
        per_user=per_user,
        rankings=_labelled(found.rankings, named, order),
        catalogue=plain_rows(found.catalogue),
        tuning=prepared.tuning,
        losses=prepared.losses,
        seconds=round(time.perf_counter() - start, 3),
        commit=environment()["commit"],
    )


def _labelled(frame: pd.DataFrame, named: dict[str, Any], first_columns: list[str]) -> pd.DataFrame:
    frame = frame.assign(**named)
    return frame[[*first_columns, *(c for c in frame.columns if c not in first_columns)]]
