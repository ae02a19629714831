"""How much do few questions tell about a new user, by the way of asking?

Run it with `python -m graphmeta.experiments.ask`, or for a data set that has a card with
`--data ml-1m --data-root FOLDER`. Simulated test users answer (`simulate_interviews`), and the
recommender ranks for them after every question.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
import pandas as pd

from graphmeta.ask import QUESTIONS, simulate_interviews
from graphmeta.errors import ConfigError
from graphmeta.experiments.fitted_splits import fitted_splits, made_by, run_report, split_options
from graphmeta.experiments.markdown_table import markdown_table
from graphmeta.explain.figure import figure, has_matplotlib, line_styles
from graphmeta.ranking.bootstrap import bootstrap_interval

PROGRAM = "graphmeta.experiments.ask"
SHOWN = "ndcg@10"
# The claim: so many popularity questions are worth no more than so many of another kind.
FEW, MANY, PLAIN = 5, 10, "popularity"


def main(argv: list[str] | None = None) -> int:
    """Train, interview, print tables and return the exit code: 2 where that cannot be done."""
    parser = split_options(PROGRAM)
    parser.add_argument("--questions", type=int, default=15, help="questions asked of each user")
    parser.add_argument("--by", nargs="+", default=[*QUESTIONS], help="ways of asking")
    parser.add_argument("--random-share", type=float, default=0.0, help="as of the recommender")
    typed = parser.parse_args(argv)

    def report() -> str:
        found = _run(typed)
        return _report(found, argv, picture=_draw(found, typed))

    return run_report(typed, report)


def _run(typed: argparse.Namespace) -> pd.DataFrame:
    """Return the figures of every split's users, way of asking and number of questions."""
    unknown = [name for name in typed.by if name not in QUESTIONS]
    if unknown:
        raise ConfigError(f"--by {unknown[0]!r} must be one of {tuple(QUESTIONS)}")
    if typed.questions < 0:  # Before minutes of training.
        raise ConfigError(f"--questions {typed.questions} must be 0 or more")
    parts = []
    for split, model in fitted_splits(typed, random_share=typed.random_share):
        for name in typed.by:
            found = simulate_interviews(
                model.fitted,
                QUESTIONS[name](split.train),
                split.test,
                n_questions=typed.questions,
                seed=split.seed,
            )
            parts.append(found.assign(by=name, seed=split.seed))
    return pd.concat(parts, ignore_index=True)


def _report(found: pd.DataFrame, argv: list[str] | None, *, picture: str | None) -> str:
    most = int(found["n_asked"].max())
    sizes = [n for n in (0, 1, 2, 3, 5, 7, 10, 15) if n <= most]
    ways = list(dict.fromkeys(found["by"]))
    tables = []
    for column, decimals in ((SHOWN, 4), ("n_known", 2)):
        mean = found.groupby(["by", "n_asked"])[column].mean()
        rows = [[way, *(f"{mean[way, n]:.{decimals}f}" for n in sizes)] for way in ways]
        tables.append(markdown_table(["questions", *map(str, sizes)], rows))
    n_users = len(found.drop_duplicates(["seed", "user"]))
    lines = [
        "# Asking a new user",
        "",
        f"NDCG@10 of {n_users} simulated test users after so many questions. A random half of a",
        "user's items are those the user says yes to, the other half is what is ranked.",
        "",
        tables[0],
        "",
        *([f"![NDCG@10 by questions]({picture})", ""] if picture else []),
        "Items that users said yes to:",
        "",
        tables[1],
        "",
    ]
    if most >= MANY and PLAIN in ways:
        rows = [_claim(found, way) for way in ways if way != PLAIN]
        header = ["questions", f"{FEW} of them less {MANY} by popularity", "95 % interval"]
        lines += [markdown_table(header, rows), ""]
    lines.append(made_by(PROGRAM, argv))
    return "\n".join(lines)


def _claim(found: pd.DataFrame, way: str) -> list[str]:
    """Return the paired difference of a few questions to many by popularity."""
    of_user = found.pivot_table(SHOWN, index=["seed", "user"], columns=["by", "n_asked"])
    difference = (of_user[way][FEW] - of_user[PLAIN][MANY]).to_numpy(np.float64)
    low, high = bootstrap_interval(difference[:, None])
    return [way, f"{difference.mean():+.4f}", f"{low[0]:+.4f} to {high[0]:+.4f}"]


def _draw(found: pd.DataFrame, typed: argparse.Namespace) -> str | None:
    """Draw the curves beside the report; return the picture's name, None where there is none."""
    if typed.out is None or not has_matplotlib():
        return None
    path = typed.out.with_suffix(".png")
    curves = found.groupby(["by", "n_asked"])[SHOWN].mean()
    with figure(path, height=5.6) as (_, axes):
        for way, style in zip(typed.by, line_styles(len(typed.by)), strict=True):
            curve = curves[way]
            axes.plot(curve.index, curve.to_numpy(), label=way, **style)
        axes.set_xlabel("questions asked")
        axes.set_ylabel("NDCG@10 on the half that was not asked about")
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=4)
    return str(path.name)


if __name__ == "__main__":
    sys.exit(main())
