"""What is a model worth as time goes on, by the way of keeping up, and what does that cost?

Run it with `python -m graphmeta.experiments.drift`, or for a data set that has a card with
`--data ciao --data-root FOLDER`. In each of several windows in global time the users who come in
it are new; all that was known before it is there to learn from (`rolling_windows`).
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import pandas as pd
from torch_geometric.data import HeteroData

from graphmeta.data import ColdUsers, audit_split, load_named
from graphmeta.data.bipartite_graph import FORWARD
from graphmeta.data.named_sets import DEFAULT
from graphmeta.drift import OlderModel, Window, newcomers, rolling_windows
from graphmeta.errors import ConfigError
from graphmeta.experiments.drift_report import drift_report
from graphmeta.experiments.fitted_splits import made_by, run_report
from graphmeta.experiments.kept_frame import kept_frame
from graphmeta.ranking import ColdStartRecommender, evaluate
from graphmeta.ranking.scorer import Scorer

PROGRAM = "graphmeta.experiments.drift"
SIZES = (0, 1, 3, 5, 10)
T = TypeVar("T")


def main(argv: list[str] | None = None) -> int:
    """Train, keep up, print the report and return the exit code: 2 where that cannot be done."""
    typed = _parser().parse_args(argv)

    def report() -> str:
        if typed.windows < 2:
            raise ConfigError(f"--windows {typed.windows} must be at least 2: one to start from")
        graph = load_named(typed.data, data_root=typed.data_root)
        rows = [_kept(graph, typed, seed) for seed in typed.seeds]
        found = pd.concat(rows, ignore_index=True)
        return "\n".join(
            [drift_report(found, name=typed.data, out=typed.out), made_by(PROGRAM, argv)]
        )

    return run_report(typed, report)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m {PROGRAM}", allow_abbrev=False)
    parser.add_argument("--data", default=DEFAULT, help="a named data set with times")
    parser.add_argument("--data-root", help="the folder of data sets that are not shipped")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="draws")
    parser.add_argument("--windows", type=int, default=4, help="windows; the first is the start")
    parser.add_argument("--first", type=float, default=0.4, help="share of the data before them")
    parser.add_argument("--history", type=float, help="share of the data to look back over")
    parser.add_argument("--epochs", type=int, default=20, help="most epochs of a full training")
    parser.add_argument("--steps", type=int, default=10, help="steps of fine-tuning in a window")
    parser.add_argument("--lr", type=float, default=1e-3, help="step size of fine-tuning")
    parser.add_argument("--rows", type=Path, help="keep each seed's figures here, use them")
    parser.add_argument("--out", type=Path, help="write the report to this Markdown file")
    return parser


def _kept(graph: HeteroData, typed: argparse.Namespace, seed: int) -> pd.DataFrame:
    """Return a seed's figures: those that the folder holds, or new ones."""
    names = ("windows", "first", "history", "epochs", "steps", "lr")
    about = [getattr(typed, name) for name in names]
    name = f"drift-{typed.data}-{seed}"
    return kept_frame(typed.rows, name, about, lambda: _run(graph, typed, seed))


def _run(graph: HeteroData, typed: argparse.Namespace, seed: int) -> pd.DataFrame:
    """Return the figures of each window, way of keeping up, new user and support size."""
    parts: list[pd.DataFrame] = []
    first = tuned = ColdStartRecommender(epochs=typed.epochs, seed=seed)
    since = -math.inf
    for window in rolling_windows(
        graph, n_windows=typed.windows, first=typed.first, history=typed.history, seed=seed
    ):
        split, train = window.split, window.split.train
        audit_split(split, split_time=window.start)
        new = ColdStartRecommender(epochs=typed.epochs, seed=seed)
        retrained, cost = _timed(partial(new.fit, train, split.validation))
        ways: dict[str, tuple[Scorer, float]] = {"retrained": (retrained, cost)}
        if window.number == 0:
            first = tuned = retrained
            ways |= dict.fromkeys(("frozen", "refreshed", "fine-tuned"), (first, 0.0))
        else:
            ways["frozen"] = OlderModel(first, train["item"].id_map), 0.0
            ways["refreshed"] = _timed(partial(first.refreshed, train))
            learn = partial(tuned.fine_tuned, train, n_steps=typed.steps, lr=typed.lr)
            tuned, cost = _timed(partial(learn, users=newcomers(train, since)))
            ways["fine-tuned"] = tuned, cost
        parts += [_figures(scorer, window, way, cost) for way, (scorer, cost) in ways.items()]
        since = window.start
    return pd.concat(parts, ignore_index=True).assign(seed=seed)


def _figures(scorer: Scorer, window: Window, way: str, cost: float) -> pd.DataFrame:
    """Return the NDCG@10 of a window's new users, and what describes the window."""
    users: ColdUsers = window.split.test
    sizes = [k for k in SIZES if k <= users.k_max]
    train = window.split.train
    return (
        evaluate(scorer, users, k=sizes)
        .per_user[["user", "k", "ndcg@10"]]
        .assign(
            way=way,
            cpu_s=cost,
            window=window.number,
            start=window.start,
            n_train_users=train["user"].num_nodes,
            n_items=train["item"].num_nodes,
            n_edges=train[FORWARD].num_edges,
        )
    )


def _timed(run: Callable[[], T]) -> tuple[T, float]:
    """Return what `run` returns, and the seconds of processor time that it took."""
    before = time.process_time()
    return run(), time.process_time() - before


if __name__ == "__main__":
    sys.exit(main())
