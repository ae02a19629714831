"""How well are items ranked that nobody has interacted with?

Run it with `python -m graphmeta.experiments.cold_items`, or for a data set whose items have
features with `--data lastfm-hetrec --data-root FOLDER`. Users and items are held out; new users
show k known items, and the new items are ranked for them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

import pandas as pd

from graphmeta.data import ColdSplit, load_named, split_cold_items
from graphmeta.data.named_sets import DEFAULT
from graphmeta.errors import ConfigError
from graphmeta.experiments.ahead_table import ahead_table
from graphmeta.experiments.contrasts import SHOWN
from graphmeta.experiments.fitted_splits import made_by, run_report, split_options
from graphmeta.experiments.markdown_table import markdown_table
from graphmeta.experiments.methods import Tunable
from graphmeta.experiments.result_table import short
from graphmeta.ranking import ColdStartRecommender, Scorer, baselines, evaluate
from graphmeta.ranking.tuning import tune

PROGRAM = "graphmeta.experiments.cold_items"
OURS = "graphmeta"
Fit = Callable[[ColdSplit, argparse.Namespace], Scorer]


def _tuned(kind: type[Tunable]) -> Fit:
    return lambda split, typed: tune(kind.search_space(), split.train, split.validation, k=typed.k)


def _fitted(split: ColdSplit, typed: argparse.Namespace) -> Scorer:
    model = ColdStartRecommender(epochs=typed.epochs, seed=split.seed)
    return model.fit(split.train, split.validation)


METHODS: dict[str, Fit] = {
    "random": _tuned(baselines.Random),
    "content-popularity": _tuned(baselines.ContentPopularity),
    "content-knn": _tuned(baselines.ContentKNN),
    "attribute-map": _tuned(baselines.AttributeMap),
    OURS: _fitted,
}


def main(argv: list[str] | None = None) -> int:
    """Train, rank, print a table and return the exit code: 2 where that cannot be done."""
    parser = split_options(PROGRAM)
    parser.set_defaults(data=DEFAULT)
    parser.add_argument("--k", type=int, nargs="+", default=[1, 3, 5], help="items shown")
    parser.add_argument("--share", type=float, default=0.1, help="share of the items that are new")
    typed = parser.parse_args(argv)
    return run_report(typed, lambda: _report(_run(typed), argv))


def _run(typed: argparse.Namespace) -> pd.DataFrame:
    """Return every user's figures by method, k and seed."""
    if min(typed.k) < 1:
        raise ConfigError(f"--k {min(typed.k)} must be at least 1: without support all are alike")
    graph = load_named(typed.data, data_root=typed.data_root)
    parts = []
    for seed in typed.seeds:
        split = split_cold_items(graph, seed=seed, share=typed.share, k_max=max(typed.k))
        for name, fit in METHODS.items():
            found = evaluate(fit(split, typed), split.test, k=typed.k, seed=seed).per_user
            parts.append(found[["user", "k", SHOWN]].assign(method=name, seed=seed))
    return pd.concat(parts, ignore_index=True)


def _report(per_user: pd.DataFrame, argv: list[str] | None) -> str:
    mean = per_user.groupby(["method", "k"], sort=False)[SHOWN].mean().unstack()
    rows = [
        [str(name), *(short(float(mean.loc[name, k]), 4) for k in mean.columns)]
        for name in mean.index
    ]
    n_users = len(per_user.drop_duplicates(["seed", "user"]))
    return "\n".join(
        [
            "# New items",
            "",
            f"NDCG@10 of {n_users} held-out users of {per_user['seed'].nunique()} splits: they "
            "show k known items,",
            "and the items that nobody has interacted with are ranked for them.",
            "",
            markdown_table(["method", *(f"k = {k}" for k in mean.columns)], rows),
            "",
            f"What *{OURS}* is ahead by, paired by user; p of a sign-flip test, Holm-corrected.",
            "",
            ahead_table(per_user, OURS),
            "",
            made_by(PROGRAM, argv),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
