"""Can live tests, and what stands in for them, be trusted?

Run it with `python -m graphmeta.experiments.live_tests`, or for a data set that has a card with
`--data ml-1m --data-root FOLDER`. Test users want what they interacted with later, so that the
truth is known: how often do intervals from logs cover it, how many sessions do interleaving and an
A/B test need, and how often do repeated looks cry wolf?
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import numpy as np
import pandas as pd

from graphmeta.data import ColdSplit
from graphmeta.errors import ConfigError
from graphmeta.experiments.fitted_splits import fitted_splits, made_by, run_report, split_options
from graphmeta.experiments.live_figures import draw_coverage, draw_power
from graphmeta.experiments.live_power import (
    Sessions,
    false_alarms,
    power_by_sessions,
    sessions_for,
    simulate_sessions,
)
from graphmeta.experiments.markdown_table import markdown_table
from graphmeta.experiments.off_policy import (
    CLIP,
    K,
    simulate_off_policy,
    wanted_by,
    world_of,
)
from graphmeta.explain.figure import has_matplotlib
from graphmeta.live.policies import masked_scores
from graphmeta.ranking import Scorer
from graphmeta.ranking.baselines import Popularity, UserKNN

PROGRAM = "graphmeta.experiments.live_tests"
MANY = "300 users, 1, 5 or 20 rows each"
SIZES = [2**j * 25 for j in range(11)]
ESTIMATORS = [
    "ips",
    f"ips (clip {CLIP})",
    "snips",
    "el",
    "dr",
    "dr (wrong model)",
    "dm",
    "dm (wrong model)",
]
# A rise of the clicks per session that the sequential test is to find, in standard deviations.
RISE = 0.15


def main(argv: list[str] | None = None) -> int:
    """Simulate, print tables and return the exit code: 2 where that cannot be done."""
    parser = split_options(PROGRAM)
    parser.add_argument("--logs", type=int, default=100, help="logs per split, policy and size")
    parser.add_argument(
        "--users", type=int, nargs="+", default=[300, 1000, 3000, 10_000], help="users of a log"
    )
    parser.add_argument("--sessions", type=int, default=40_000, help="simulated sessions")
    parser.add_argument("--tests", type=int, default=1000, help="simulated A/B tests of each kind")
    typed = parser.parse_args(argv)
    return run_report(typed, lambda: _report(*_run(typed), typed, argv))


def _run(typed: argparse.Namespace) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return estimates of all logs, power by contrast and sessions, and alarms."""
    if min(typed.logs, typed.sessions, typed.tests, *typed.users) < 2:
        raise ConfigError("--logs, --sessions, --tests and --users must be at least 2")
    estimates, power, clicks = [], [], []
    for split, model in fitted_splits(typed):
        estimates.append(_off_policy(split, model, typed))
        sessions = _sessions(split, model, typed.sessions)
        for contrast, pool in sessions.items():
            found = power_by_sessions(pool, SIZES, seed=split.seed)
            about = {"gap": pool.a.mean() - pool.b.mean(), "shared": pool.shared}
            power.append(found.assign(contrast=contrast, **about))
            clicks.append(pool.a)
    return pd.concat(estimates), pd.concat(power), _alarms(np.concatenate(clicks), typed.tests)


def _off_policy(split: ColdSplit, model: Scorer, typed: argparse.Namespace) -> pd.DataFrame:
    world = world_of(split, model)
    parts = []
    for logging, policy in world.logging.items():
        logged = float((policy * world.wanted).sum(axis=1).mean())
        overlap = world.overlap(logging)
        runs: list[tuple[str, int, tuple[int, ...]]] = [(str(n), n, (1,)) for n in typed.users]
        for size, n_users, rows in [*runs, (MANY, 300, (1, 5, 20))]:
            found = simulate_off_policy(
                world, logging, n_users=n_users, n_logs=typed.logs, rows=rows, seed=split.seed
            )
            found = found.assign(size=size, logging=logging, overlap=overlap, logged=logged)
            parts.append(found)
    return pd.concat(parts)


def _sessions(split: ColdSplit, model: Scorer, n_sessions: int) -> dict[str, Sessions]:
    """Return sessions of the model against other rankings, none of them an easy one."""
    users = split.test

    def ranked(scorer: Scorer, k: int) -> Any:
        scores = masked_scores(scorer.score(users.support(k)), users.first.item_index)
        return scores.argsort(dim=1, descending=True)[:, :10].numpy()

    others = {
        "popularity": ranked(Popularity().fit(split.train), K),
        "UserKNN, not tuned": ranked(UserKNN().fit(split.train), K),
        "itself, knowing 1 item": ranked(model, 1),
    }
    best, wanted = ranked(model, K), wanted_by(users)
    return {
        name: simulate_sessions(best, other, wanted, n_sessions=n_sessions, seed=split.seed)
        for name, other in others.items()
    }


def _alarms(clicks: Any, n_tests: int) -> pd.DataFrame:
    """Return what repeated looks find without and with a difference."""
    rise = RISE * float(clicks.std())
    parts = [
        false_alarms(values, effect=size, shift=shift, n_tests=n_tests).assign(metric=metric)
        for metric, values, size, shift in (
            ("clicks, no difference", clicks, rise, 0.0),
            ("any click, no difference", (clicks > 0).astype(float), 0.05, 0.0),
            (f"clicks, {rise:.2f} more", clicks, rise, rise),
        )
    ]
    return pd.concat(parts)


def _report(
    estimates: pd.DataFrame,
    power: pd.DataFrame,
    alarms: pd.DataFrame,
    typed: argparse.Namespace,
    argv: list[str] | None,
) -> str:
    cells = _cells(estimates)
    curves = power.groupby(["contrast", "n_sessions"], sort=False)[["interleaving", "ab"]].mean()
    pictures = []
    if typed.out is not None and has_matplotlib():
        sizes = [size for size in cells["size"].unique() if size != MANY]
        coverage = typed.out.with_suffix(".png")
        draw_coverage(coverage, cells[cells["size"].isin(sizes)], n_logs=int(cells["n_logs"].max()))
        draw_power(typed.out.with_name(f"{typed.out.stem}-power.png"), curves.reset_index())
        pictures = [
            f"![coverage]({coverage.name})",
            f"![power]({typed.out.stem}-power.png)",
        ]
    return "\n".join(
        [
            "# Live tests",
            "",
            *_off_policy_part(cells, pictures[:1]),
            *_power_part(power, curves, pictures[1:]),
            *_alarm_part(alarms, typed.tests),
            made_by(PROGRAM, argv),
        ]
    )


def _cells(estimates: pd.DataFrame) -> pd.DataFrame:
    """Return the figures of each logging policy, size and estimator over all logs."""
    truth = estimates["truth"]
    off = (estimates["value"] - truth) / truth
    found = estimates.assign(
        covers=(estimates["lower"] <= truth) & (truth <= estimates["upper"]),
        bias=off,
        square=off**2,
        width=(estimates["upper"] - estimates["lower"]) / truth,
    )
    grouped = found.groupby(["logging", "size", "estimator"], sort=False)
    cells = grouped[["covers", "bias", "is_refused", "overlap", "truth", "logged"]].mean()
    cells["rmse"] = np.sqrt(grouped["square"].mean())
    cells[["effective", "width"]] = grouped[["effective_rows", "width"]].median()
    cells["n_logs"] = grouped.size()
    return cells.reset_index()


def _off_policy_part(cells: pd.DataFrame, pictures: list[str]) -> list[str]:
    policies = cells.groupby("logging", sort=False)[["overlap", "logged", "truth"]].first()
    head = ["logging policy", "effective share of rows", "earns", "the target policy earns"]
    lines = [
        "## Off-policy estimates",
        "",
        f"Of each cell {int(cells['n_logs'].max())} logs were drawn. A user who shows {K} items is",
        "shown one more; the reward is 1 where it is in the user's query.",
        "",
        markdown_table(
            head,
            [
                [str(name), f"{row.overlap:.1%}", f"{row.logged:.3f}", f"{row.truth:.3f}"]
                for name, row in policies.iterrows()
            ],
        ),
        "",
        *[line for picture in pictures for line in (picture, "")],
    ]
    single = cells[cells["size"] != MANY]
    for title, column, layout in (
        ("Share of 95 % intervals that cover the truth", "covers", "{:.1%}"),
        ("Root mean squared error, as a share of the truth", "rmse", "{:.2f}"),
        ("Bias, as a share of the truth", "bias", "{:+.3f}"),
        ("Median width of the interval, as a share of the truth", "width", "{:.2f}"),
    ):
        lines += [title + ":", "", _by_estimator(single, column, layout), ""]
    lines += [
        f"Coverage where users have several rows ({MANY}); by row, SNIPS takes each for a user:",
        "",
        _by_estimator(cells[cells["size"] == MANY], "covers", "{:.1%}", by_row=True),
        "",
    ]
    return lines


def _by_estimator(cells: pd.DataFrame, column: str, layout: str, *, by_row: bool = False) -> str:
    names = [*ESTIMATORS, *(["snips (by row)"] if by_row else [])]
    rows = []
    for (logging, size), part in cells.groupby(["logging", "size"], sort=False):
        of = part.set_index("estimator")
        figures = [layout.format(of.loc[name, column]) for name in names]
        about = [f"{of['effective'].iloc[0]:,.0f}", f"{of['is_refused'].iloc[0]:.0%}"]
        rows.append([f"{logging}, {size}", *about, *figures])
    return markdown_table(["logging policy, users", "effective rows", "refused", *names], rows)


def _power_part(power: pd.DataFrame, curves: pd.DataFrame, pictures: list[str]) -> list[str]:
    rows = []
    for contrast, about in (
        power.groupby("contrast", sort=False)[["gap", "shared"]].mean().iterrows()
    ):
        curve = curves.xs(contrast, level="contrast").reset_index()
        needed = [sessions_for(curve, test) for test in ("interleaving", "ab")]
        least, most = (int(curve["n_sessions"].agg(end)) for end in ("min", "max"))
        named = {0.0: f"under {least:,}", np.inf: f"over {most:,}"}
        shown = [named.get(n, f"{n:,.0f}") for n in needed]
        rows.append([str(contrast), f"{about['shared']:.0%}", f"{about['gap']:+.3f}", *shown])
    head = [
        "the recommender against",
        "items on both lists",
        "clicks more per session",
        "interleaving",
        "A/B test",
    ]
    return [
        "## Interleaving and A/B tests",
        "",
        "Sessions to find the better ranking with a power of 80 % at 5 %, lists of ten, mean of "
        "all",
        "splits' power:",
        "",
        markdown_table(head, rows),
        "",
        *[line for picture in pictures for line in (picture, "")],
    ]


def _alarm_part(alarms: pd.DataFrame, n_tests: int) -> list[str]:
    rows = [
        [f"{row.metric}: {row.way}", f"{row.found:.1%}", f"{row.n_users:,.0f}"]
        for row in alarms.itertuples()
    ]
    return [
        "## Looking at an A/B test after every pair of users",
        "",
        f"{n_tests:,} experiments each, 5,000 users per arm, level 5 %:",
        "",
        markdown_table(["", "found a difference", "users at the stop, mean"], rows),
        "",
    ]


if __name__ == "__main__":
    sys.exit(main())
