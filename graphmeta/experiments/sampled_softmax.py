"""Does training on items that stand for the catalogue lose anything?

Run it with `python -m graphmeta.experiments.sampled_softmax`, or for a data set that has a card
with `--data ml-1m --data-root FOLDER`. On the same splits the recommender is trained on the whole
catalogue and on samples of it, all else alike; the loss of every epoch and NDCG@10 are compared.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from graphmeta.data import ColdSplit
from graphmeta.errors import ConfigError
from graphmeta.experiments.fitted_splits import made_by, run_data_of, run_report, split_options
from graphmeta.experiments.markdown_table import markdown_table
from graphmeta.experiments.ways_table import QUALITY, quality_rows
from graphmeta.ranking import ColdStartRecommender, evaluate

PROGRAM = "graphmeta.experiments.sampled_softmax"
WHOLE = "whole catalogue"


@dataclass(frozen=True)
class Training:
    """What came of one training.

    Args:
        way: What stood for the catalogue.
        seed: The split's.
        losses: The mean outer loss of every epoch.
        seconds: How long an epoch took, on average; NaN where it was read from a checkpoint.
        per_user: The test users' figures.
    """

    way: str
    seed: int
    losses: list[float]
    seconds: float
    per_user: pd.DataFrame


def main(argv: list[str] | None = None) -> int:
    """Train, rank, print tables and return the exit code: 2 where that cannot be done."""
    parser = split_options(PROGRAM)
    parser.add_argument("--k", type=int, nargs="+", default=[1, 3, 5, 10], help="items shown")
    parser.add_argument(
        "--draws", type=int, nargs="+", default=[256, 1024], help="items drawn for each step"
    )
    typed = parser.parse_args(argv)
    return run_report(typed, lambda: _report(list(_trainings(typed)), typed, argv))


def _trainings(typed: argparse.Namespace) -> Iterator[Training]:
    if min(typed.draws) < 1:  # Before minutes of training.
        raise ConfigError(f"--draws {typed.draws} must be at least 1")
    data = run_data_of(typed)
    for split in data.splits:
        for n_draws in (0, *typed.draws):
            kept = None
            if typed.models is not None:
                typed.models.mkdir(parents=True, exist_ok=True)
                name = f"{data.settings.data or 'default'}-{split.seed}-{n_draws}.training"
                kept = typed.models / name
            yield _trained(split, n_draws, typed, kept)


def _trained(
    split: ColdSplit, n_draws: int, typed: argparse.Namespace, checkpoint: Path | None
) -> Training:
    model = ColdStartRecommender(num_sampled=n_draws, epochs=typed.epochs, seed=split.seed)
    ends = [time.perf_counter()]
    model.fit(
        split.train,
        split.validation,
        checkpoint=checkpoint,
        on_epoch=lambda *_: ends.append(time.perf_counter()),
    )
    found = evaluate(model, split.test, k=typed.k, seed=split.seed).per_user
    n_epochs = len(ends) - 1
    return Training(
        f"{n_draws} draws" if n_draws else WHOLE,
        split.seed,
        model.losses,
        (ends[-1] - ends[0]) / n_epochs if n_epochs else float("nan"),
        found.assign(seed=split.seed),
    )


def _report(trainings: list[Training], typed: argparse.Namespace, argv: list[str] | None) -> str:
    ways = list(dict.fromkeys(training.way for training in trainings))
    of_way = {way: [t for t in trainings if t.way == way] for way in ways}
    frames = {way: pd.concat([t.per_user for t in some]) for way, some in of_way.items()}
    n_users = len(frames[WHOLE].drop_duplicates(["seed", "user"]))
    lines = [
        f"## Sampled softmax: {typed.data or 'movielens-small'}",
        "",
        f"{n_users} test users of {len(typed.seeds)} splits, at most {typed.epochs} epochs. "
        "NDCG@10, less that of training on the whole catalogue, with the paired 95 % interval; "
        "p of a sign-flip test, Holm-corrected over the table.",
        "",
        markdown_table(QUALITY, quality_rows(frames)),
        "",
        "The outer loss of each epoch, mean over the splits that reached it, which for a sample is "
        "an estimate of that of the catalogue, and seconds per epoch:",
        "",
        markdown_table(*_loss_table(of_way)),
        "",
        made_by(PROGRAM, argv),
    ]
    return "\n".join(lines)


def _loss_table(of_way: Mapping[str, list[Training]]) -> tuple[list[str], list[list[str]]]:
    """Return the header and the rows of the epochs' losses."""
    curves = {way: pd.DataFrame([t.losses for t in some]).mean() for way, some in of_way.items()}
    longest = max(map(len, curves.values()))
    rows = []
    for way, curve in curves.items():
        shown = [f"{loss:.4f}" for loss in curve] + [""] * (longest - len(curve))
        seconds = pd.Series([t.seconds for t in of_way[way]]).mean()
        rows.append([way, "" if pd.isna(seconds) else f"{seconds:.0f}", *shown])
    return ["trained on", "s per epoch", *map(str, range(1, longest + 1))], rows


if __name__ == "__main__":
    sys.exit(main())
