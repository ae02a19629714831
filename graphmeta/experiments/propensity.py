"""Is it better to train for the long tail than to lean to it when ranking?

Run it with `python -m graphmeta.experiments.propensity`, or for a data set that has a card with
`--data ml-1m --data-root FOLDER`. A recommender trained with inverse propensity weights is compared
with the one trained without, and with that one leaning to niche items by the same power.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

import pandas as pd

from graphmeta.data import ColdSplit
from graphmeta.errors import ConfigError
from graphmeta.experiments.fitted_splits import fitted_splits, made_by, run_report, split_options
from graphmeta.experiments.markdown_table import markdown_table
from graphmeta.ranking import ColdStartRecommender, Evaluation, evaluate
from graphmeta.ranking.bootstrap import bootstrap_interval

PROGRAM = "graphmeta.experiments.propensity"
SHOWN = ["tail_share@10", "tail_ndcg@10", "niche_ndcg@10", "mainstream_ndcg@10", "coverage@10"]


def main(argv: list[str] | None = None) -> int:
    """Train, rank, print a table and return the exit code: 2 where that cannot be done."""
    parser = split_options(PROGRAM)
    parser.add_argument("--k", type=int, nargs="+", default=[1, 3, 5, 10], help="items shown")
    parser.add_argument(
        "--powers", type=float, nargs="+", default=[0.25, 0.5], help="of the propensity"
    )
    parser.add_argument("--clip", type=float, default=0.1, help="least propensity")
    typed = parser.parse_args(argv)
    return run_report(typed, lambda: _report(_run(typed), typed, argv))


def _run(typed: argparse.Namespace) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return each test user's NDCG@10, and the catalogue's figures, by the way of debiasing."""
    if not all(0 < power <= 1 for power in typed.powers):  # Before minutes of training.
        raise ConfigError(f"--powers {typed.powers} must be above 0 and up to 1")
    per_user, catalogue = [], []
    for split, model in fitted_splits(typed):
        for way, found in _ways(split, model, typed):
            per_user.append(found.per_user.assign(way=way, seed=split.seed))
            catalogue.append(found.catalogue.assign(way=way, seed=split.seed))
    return pd.concat(per_user, ignore_index=True), pd.concat(catalogue, ignore_index=True)


def _ways(
    split: ColdSplit, model: ColdStartRecommender, typed: argparse.Namespace
) -> Iterator[tuple[str, Evaluation]]:
    def found(model: ColdStartRecommender) -> Evaluation:
        return evaluate(model, split.test, k=typed.k, seed=split.seed)

    yield "as trained", found(model)
    for power in typed.powers:
        yield f"niche {power:g}", found(model.with_niche(power))
        weighted = ColdStartRecommender(
            propensity_power=power,
            propensity_clip=typed.clip,
            epochs=typed.epochs,
            seed=split.seed,
        )
        yield f"propensity {power:g}", found(weighted.fit(split.train, split.validation))


def _report(
    found: tuple[pd.DataFrame, pd.DataFrame], typed: argparse.Namespace, argv: list[str] | None
) -> str:
    per_user, catalogue = found
    rows = []
    for k in typed.k:
        of_k = catalogue[catalogue["k"] == k].groupby("way", sort=False)[SHOWN].mean()
        for way, means in of_k.T.items():
            users = per_user[(per_user["k"] == k) & (per_user["way"] == way)]
            low, high = bootstrap_interval(users[["ndcg@10"]].to_numpy("float64"))
            ndcg = f"{users['ndcg@10'].mean():.4f} ({low[0]:.4f} to {high[0]:.4f})"
            rows.append([str(way), str(k), ndcg, *(f"{value:.4f}" for value in means)])
    n_users = len(per_user.drop_duplicates(["seed", "user"]))
    lines = [
        f"## Training with propensities: {typed.data or 'movielens-small'}",
        "",
        f"{n_users} test users of {len(typed.seeds)} splits, at most {typed.epochs} epochs.",
        "NDCG@10 with a 95 % bootstrap interval over users, the rest are means over the splits.",
        "",
        markdown_table(["way", "k", "ndcg@10", *SHOWN], rows),
        "",
        made_by(PROGRAM, argv),
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
