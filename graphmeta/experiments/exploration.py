"""Does it pay to show a new user what the model is unsure about?

Run it with `python -m graphmeta.experiments.exploration`, or for a data set that has a card with
`--data ml-1m --data-root FOLDER`. Test users whose items are known answer simulated sessions
(`simulate_sessions`); the scales of the belief and the strengths of the policies are chosen on
validation users.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd
import torch

from graphmeta.data import ColdSplit
from graphmeta.data.cold_users import ColdUsers
from graphmeta.errors import ConfigError
from graphmeta.experiments.exploration_report import exploration_report
from graphmeta.experiments.fitted_splits import fitted_splits, made_by, run_report, split_options
from graphmeta.explore import (
    EXPLORING,
    Belief,
    Corrected,
    Greedy,
    Policy,
    Popularity,
    Scales,
    Simulated,
    count_quantile,
    fit_scales,
    simulate_sessions,
)
from graphmeta.ranking import ColdStartRecommender

PROGRAM = "graphmeta.experiments.exploration"
STRENGTHS = {
    "epsilon-greedy": (0.02, 0.05, 0.1, 0.2),
    "thompson": (0.1, 0.25, 0.5, 1.0, 2.0),
    "ucb": (0.3, 1.0, 3.0, 10.0, 30.0),
}
# Items of a slate, and rounds.
SESSIONS = {5: 6, 1: 15}
# The session that strengths are chosen for, and that calibration is judged after.
USUAL_SLATE, USUAL_K = 5, 1
# Items whose takes are foretold after a session.
N_FORETOLD = 50


@dataclass(frozen=True)
class Explored:
    """What the experiment found; every frame has a column seed.

    Args:
        scales: A row per split: the fitted scales.
        strengths: A row per policy and strength: n_taken of validation users.
        chosen: A row per policy: the strength.
        after: A row per test user, k, slate and policy: `Simulated.after`, and
            n_oracle, what who knows the user's items would have had taken.
        rounds: A row per test user, k, slate, policy and round: n_taken.
        shown: A row per item that greedy sessions showed: is_taken, and its chance before (by
            `Scales.guess`) and after the scales were fitted.
        counts: A row per test user: the quantile of what was taken of the next items, by the
            guessed scales, by the fitted ones, and by these without spread.
    """

    scales: pd.DataFrame
    strengths: pd.DataFrame
    chosen: pd.DataFrame
    after: pd.DataFrame
    rounds: pd.DataFrame
    shown: pd.DataFrame
    counts: pd.DataFrame


def main(argv: list[str] | None = None) -> int:
    """Train, explore, print tables and return the exit code: 2 where that cannot be done."""
    parser = split_options(PROGRAM)
    parser.add_argument("--k", type=int, nargs="+", default=[0, 1, 3], help="items at first")
    parser.add_argument(
        "--users", type=int, default=300, help="most users of a split's either kind"
    )
    parser.add_argument(
        "--unadapted",
        action="store_true",
        help="the encoder without inner loop: several times faster",
    )
    typed = parser.parse_args(argv)
    return run_report(
        typed, lambda: exploration_report(_run(typed), typed.out, made_by(PROGRAM, argv))
    )


def _run(typed: argparse.Namespace) -> Explored:
    if typed.users < 1 or USUAL_K not in typed.k:
        raise ConfigError(f"--users must be at least 1 and --k hold {USUAL_K}")
    parts: dict[str, list[pd.DataFrame]] = {}
    for split, model in fitted_splits(typed):
        for name, frame in _of_split(split, model, typed):
            parts.setdefault(name, []).append(frame.assign(seed=split.seed))
    return Explored(**{name: pd.concat(some, ignore_index=True) for name, some in parts.items()})


def _of_split(
    split: ColdSplit, model: ColdStartRecommender, typed: argparse.Namespace
) -> Iterator[tuple[str, pd.DataFrame]]:
    scorer = (model.unadapted() if typed.unadapted else model).fitted
    guess = Belief(scorer, Scales.guess(split.train))
    validation, test = (_first(users, typed.users) for users in (split.validation, split.test))
    scales = fit_scales(guess, validation, seed=split.seed)
    belief = Belief(scorer, scales)
    yield "scales", pd.DataFrame([vars(scales)])
    strengths = _strengths(belief, validation, split.seed)
    yield "strengths", strengths
    best = strengths.loc[strengths.groupby("policy", sort=False)["n_taken"].idxmax()]
    yield "chosen", best
    chosen = best["policy"].tolist(), best["strength"].tolist()
    policies: list[Policy] = [Popularity(test.item_count), Greedy(), Corrected()]
    policies += [EXPLORING[name](strength) for name, strength in zip(*chosen, strict=True)]
    for k in typed.k:
        for slate, n_rounds in SESSIONS.items():
            for policy in policies:
                found = _session(belief, policy, test, k, slate, split.seed)
                about = {"k": k, "slate": slate, "policy": policy.name}
                most = found.after["n_takeable"].clip(upper=slate * n_rounds)
                yield "after", found.after.assign(n_oracle=most, **about)
                rounds = found.shown.groupby(["user", "round"])["is_taken"].sum()
                yield "rounds", rounds.reset_index(name="n_taken").assign(**about)
    before = _session(guess, Greedy(), test, USUAL_K, USUAL_SLATE, split.seed)
    after = _session(belief, Greedy(), test, USUAL_K, USUAL_SLATE, split.seed)
    shown = after.shown[["user", "is_taken", "chance"]].rename(columns={"chance": "after"})
    yield "shown", shown.assign(before=before.shown["chance"])
    yield "counts", _counts(before, after, split.seed)


def _first(users: ColdUsers, n_users: int) -> ColdUsers:
    return users.select(torch.arange(min(n_users, len(users))))


def _session(
    belief: Belief, policy: Policy, users: ColdUsers, k: int, slate: int, seed: int
) -> Simulated:
    return simulate_sessions(
        belief, policy, users, k=k, n_rounds=SESSIONS[slate], slate=slate, seed=seed
    )


def _strengths(belief: Belief, users: ColdUsers, seed: int) -> pd.DataFrame:
    """Return what validation users take by policy and strength."""
    rows = []
    for name, strengths in STRENGTHS.items():
        for strength in strengths:
            policy = EXPLORING[name](strength)
            after = _session(belief, policy, users, USUAL_K, USUAL_SLATE, seed).after
            rows.append((name, strength, after["n_taken"].mean()))
    return pd.DataFrame(rows, columns=["policy", "strength", "n_taken"])


def _counts(before: Simulated, after: Simulated, seed: int) -> pd.DataFrame:
    """Return the quantiles of the number taken of the model's best items after a session."""
    offset = after.posterior.offset.masked_fill(after.closed, -torch.inf)
    items = offset.topk(min(N_FORETOLD, int((~after.closed).sum(1).min()))).indices
    n_taken = after.takeable.gather(1, items).sum(1)
    columns = {
        "guessed": count_quantile(before.posterior, items, n_taken, seed=seed),
        "fitted": count_quantile(after.posterior, items, n_taken, seed=seed),
        "without spread": count_quantile(after.posterior, items, n_taken, scale=0.0, seed=seed),
    }
    return pd.DataFrame({"user": after.after["user"], **columns})


if __name__ == "__main__":
    sys.exit(main())
