"""Does leaving out what an explanation names change the ranking more than leaving out the rest?

Run it with `python -m graphmeta.experiments.fidelity`, or for a data set that has a card with
`--data ml-1m --data-root FOLDER`. Test users show k items; a choice names one of them, and what
counts is how much of the best ten changes without it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

import numpy as np
import pandas as pd
import torch

from graphmeta.data import ColdSplit
from graphmeta.errors import ConfigError
from graphmeta.experiments.fitted_splits import fitted_splits, made_by, run_report, split_options
from graphmeta.experiments.markdown_table import markdown_table
from graphmeta.explain import explain_ranking
from graphmeta.ranking import ColdStartRecommender
from graphmeta.ranking.bootstrap import bootstrap_interval

PROGRAM = "graphmeta.experiments.fidelity"
N_BEST = 10


def _most_voted(edges: pd.DataFrame) -> float:
    return float(edges["changed"].iloc[edges["vote_share"].argmax()])


# What changes without the interaction of a choice; the most effective one comes first.
CHOICES: dict[str, Callable[[pd.DataFrame], float]] = {
    "the one with the largest effect": lambda edges: edges["changed"].iloc[0],
    "the one most votes came over": _most_voted,
    "one at random": lambda edges: edges["changed"].mean(),
    "the one with the smallest effect": lambda edges: edges["changed"].iloc[-1],
}


def changes(model: ColdStartRecommender, split: ColdSplit, *, k: int, n_users: int) -> pd.DataFrame:
    """Return for each test user and choice the share of the best ten that changes.

    Args:
        model: Fitted on the split.
        split: Where the users come from.
        k: Items that each shows.
        n_users: Most users, the first ones.

    Returns:
        A row per user, a column per choice.
    """
    ids, users = model.item_ids, split.test.select(torch.arange(min(n_users, len(split.test))))
    rows = []
    for shown in ids.to_ids(users.support(k).item_index):
        edges = explain_ranking(model, shown.tolist(), N_BEST, n_paths=0).edges
        edges["changed"] = edges["rank_without"] > N_BEST
        of_shown = edges.groupby("shown")[["effect", "vote_share", "changed"]].mean()
        of_shown = of_shown.sort_values("effect", ascending=False, kind="stable")
        rows.append({name: choose(of_shown) for name, choose in CHOICES.items()})
    return pd.DataFrame(rows)


def main(argv: list[str] | None = None) -> int:
    """Train, explain, print a table and return the exit code: 2 where that cannot be done."""
    parser = split_options(PROGRAM)
    parser.add_argument("--k", type=int, nargs="+", default=[3, 5, 10], help="items shown")
    parser.add_argument("--users", type=int, default=200, help="most test users of all splits")
    typed = parser.parse_args(argv)
    return run_report(typed, lambda: _report(_run(typed), argv))


def _run(typed: argparse.Namespace) -> dict[int, pd.DataFrame]:
    if min(typed.k) < 1 or typed.users < 1:
        raise ConfigError(f"--k {min(typed.k)} and --users {typed.users} must be at least 1")
    parts: dict[int, list[pd.DataFrame]] = {k: [] for k in typed.k}
    n_users = -(-typed.users // len(typed.seeds))
    for split, model in fitted_splits(typed):
        for k, found in parts.items():
            found.append(changes(model, split, k=k, n_users=n_users))
    return {k: pd.concat(found, ignore_index=True)[: typed.users] for k, found in parts.items()}


def _report(found: dict[int, pd.DataFrame], argv: list[str] | None) -> str:
    rows = []
    for name in CHOICES:
        cells = [name]
        for table in found.values():
            low, high = bootstrap_interval(table[[name]].to_numpy(np.float64))
            cells.append(f"{table[name].mean():.1%} ({low[0]:.1%} to {high[0]:.1%})")
        rows.append(cells)
    header = ["left out", *(f"k = {k}" for k in found)]
    n_users = min(len(table) for table in found.values())
    return "\n".join(
        [
            "# Fidelity of explanations",
            "",
            "Share of the ten best items that change when one of the k interactions shown is left",
            "out and the user is adapted and ranked anew. Mean of "
            f"{n_users} test users, 95 % bootstrap intervals.",
            "",
            markdown_table(header, rows),
            "",
            made_by(PROGRAM, argv),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
