"""Does leaving out what an explanation names change the ranking more than leaving out the rest?

Run it with `python -m graphmeta.experiments.fidelity`, or for a data set that has a card with
`--data ml-1m --data-root FOLDER`. Test users show k items; a choice names one of them, and what
counts is how much of the best ten changes without it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from rich.console import Console

from graphmeta.data import ColdSplit
from graphmeta.data.whole_file import write_whole
from graphmeta.errors import GraphMetaError
from graphmeta.experiments.manifest import environment, now
from graphmeta.experiments.markdown_table import markdown_table
from graphmeta.experiments.run_data import load_run_data
from graphmeta.experiments.settings import ColdStartSettings
from graphmeta.explain import explain_ranking
from graphmeta.ranking import ColdStartRecommender
from graphmeta.ranking.bootstrap import bootstrap_interval

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
    parser = argparse.ArgumentParser(
        prog="python -m graphmeta.experiments.fidelity", allow_abbrev=False
    )
    parser.add_argument("--data", help="a named data set; by default ratings of a PyPI package")
    parser.add_argument("--data-root", help="the folder of data sets that are not shipped")
    parser.add_argument("--k", type=int, nargs="+", default=[3, 5, 10], help="items shown")
    parser.add_argument("--users", type=int, default=200, help="most test users of all splits")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="splits")
    parser.add_argument("--epochs", type=int, default=20, help="most epochs of training")
    parser.add_argument("--out", type=Path, help="write the table to this Markdown file")
    typed = parser.parse_args(argv)
    console = Console()
    try:
        found = _run(typed)
        text = _report(found, sys.argv[1:] if argv is None else argv)
        console.print(text, markup=False, soft_wrap=True)
        if typed.out is not None:
            write_whole(typed.out, lambda path: path.write_text(text + "\n"))
    except GraphMetaError as error:
        Console(stderr=True).print(f"error: {error}", markup=False, soft_wrap=True)
        return 2
    return 0


def _run(typed: argparse.Namespace) -> dict[int, pd.DataFrame]:
    given = {"data": typed.data, "data_root": typed.data_root, "seeds": tuple(typed.seeds)}
    settings = ColdStartSettings(**{n: v for n, v in given.items() if v is not None})
    parts: dict[int, list[pd.DataFrame]] = {k: [] for k in typed.k}
    n_users = -(-typed.users // len(typed.seeds))
    for split in load_run_data(settings).splits:
        model = ColdStartRecommender(epochs=typed.epochs, seed=split.seed)
        model.fit(split.train, split.validation)
        for k, found in parts.items():
            found.append(changes(model, split, k=k, n_users=n_users))
    return {k: pd.concat(found, ignore_index=True)[: typed.users] for k, found in parts.items()}


def _report(found: dict[int, pd.DataFrame], words: list[str]) -> str:
    rows = []
    for name in CHOICES:
        cells = [name]
        for table in found.values():
            low, high = bootstrap_interval(table[[name]].to_numpy(np.float64))
            cells.append(f"{table[name].mean():.1%} ({low[0]:.1%} to {high[0]:.1%})")
        rows.append(cells)
    machine = environment()
    header = ["left out", *(f"k = {k}" for k in found)]
    command = " ".join(["python -m graphmeta.experiments.fidelity", *words])
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
            f"`{command}`, {now()}, commit {machine['commit']}, {machine['machine']['cpu']}",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
