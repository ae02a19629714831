"""Is a change of a user's interest found, and what is it worth to forget what came before?

Run it with `python -m graphmeta.experiments.drift_interest`, or for a data set that has a card with
`--data ml-1m --data-root FOLDER`. Two test users make one whose interest changes: the first one's
items, then the other's (`switched_users`). The same users unchanged tell what it costs to look.
"""

from __future__ import annotations

import argparse
import sys

import pandas as pd
import torch

from graphmeta.drift import PageHinkley, surprise_of
from graphmeta.errors import ConfigError
from graphmeta.experiments.drift_interest_report import interest_report
from graphmeta.experiments.fitted_splits import fitted_splits, made_by, run_report, split_options
from graphmeta.experiments.switched_users import CutModel, SwitchedUsers, switched_users
from graphmeta.ranking import ColdStartRecommender, evaluate
from graphmeta.ranking.scorer import Scorer

PROGRAM = "graphmeta.experiments.drift_interest"
HALF_LIVES = (5, 10, 20)


def main(argv: list[str] | None = None) -> int:
    """Train, switch, detect, print tables; return the exit code: 2 where that cannot be done."""
    parser = split_options(PROGRAM)
    parser.add_argument("--before", type=int, default=40, help="items of the first user")
    parser.add_argument("--after", type=int, nargs="+", default=[5, 10, 20], help="of the other")
    parser.add_argument("--query", type=int, default=20, help="items to rank after them")
    parser.add_argument("--users", type=int, default=50, help="most switched users of a split")
    parser.add_argument("--threshold", type=float, default=1.0, help="as of PageHinkley")
    typed = parser.parse_args(argv)

    def report() -> str:
        if min(typed.before, *typed.after, typed.query, typed.users) < 1:
            raise ConfigError("--before, --after, --query and --users must be at least 1")
        figures, alarms = _run(typed)
        name = typed.data or "movielens-small"
        return "\n".join([interest_report(figures, alarms, name=name), made_by(PROGRAM, argv)])

    return run_report(typed, report)


def _run(typed: argparse.Namespace) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the figures of each user, way and size, and who was said to have changed when."""
    figures, alarms = [], []
    for split, model in fitted_splits(typed):
        for kind in (True, False):
            users = switched_users(
                split.test,
                before=typed.before,
                after=max(typed.after),
                n_query=typed.query,
                most=typed.users,
                are_switched=kind,
                seed=split.seed,
            )
            of_users, said = _of_users(model.unadapted(), users, typed)
            about = {"seed": split.seed, "is_switched": kind}
            figures.append(of_users.assign(**about))
            alarms.append(said.assign(**about))
    return pd.concat(figures, ignore_index=True), pd.concat(alarms, ignore_index=True)


def _of_users(
    model: ColdStartRecommender, users: SwitchedUsers, typed: argparse.Namespace
) -> tuple[pd.DataFrame, pd.DataFrame]:
    detector, said = PageHinkley(threshold=typed.threshold), []
    for row in range(len(users.users)):
        history = users.users.first[torch.tensor([row])]
        said.append(detector.change(surprise_of(model, history).tolist()))
    sizes = [typed.before + n for n in typed.after]
    ways: dict[str, Scorer] = {"everything": model}
    ways |= {f"half-life {h}": model.with_half_life(h) for h in HALF_LIVES}
    ways["re-adapted after an alarm"] = CutModel(model, users.users, said)
    known = [(1, typed.before)] * len(said)
    ways["after the true change"] = CutModel(model, users.users, known)
    figures = [
        evaluate(scorer, users.users, k=sizes)
        .per_user[["user", "k", "ndcg@10"]]
        .assign(way=way, n_after=lambda rows: rows["k"] - typed.before)
        for way, scorer in ways.items()
    ]
    alarm = [(None, None) if found is None else found for found in said]
    table = pd.DataFrame(alarm, columns=["alarm", "cut"], dtype="float64")
    return pd.concat(figures, ignore_index=True), table.assign(change=typed.before)


if __name__ == "__main__":
    sys.exit(main())
