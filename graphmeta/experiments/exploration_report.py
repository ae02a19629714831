"""The tables and pictures of the exploration experiment."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from graphmeta.experiments.markdown_table import markdown_table
from graphmeta.explain.figure import figure, has_matplotlib, line_styles, plain
from graphmeta.explore import calibration_error, reliability
from graphmeta.ranking.significance import compare_paired, holm

if TYPE_CHECKING:
    from graphmeta.experiments.exploration import Explored

PLAIN, HEARD = "greedy", "corrected"


def exploration_report(found: Explored, out: Path | None, made: str) -> str:
    """Return the report, and draw its pictures beside `out`."""
    after = found.after
    n_users = len(after.drop_duplicates(["seed", "user"]))
    pictures = _draw(found, out)
    lines = [
        "# Exploring with a new user",
        "",
        f"Simulated sessions with {n_users} test users of {after['seed'].nunique()} splits. Items "
        "of one half of the catalogue are shown, and taken where they are the user's.",
        "",
    ]
    rounds = found.rounds.groupby("slate")["round"].max()
    for slate, n_rounds in rounds.sort_index(ascending=False).items():
        some = after[after["slate"] == slate]
        lines += [
            f"## {n_rounds} rounds of {slate}",
            "",
            "Items taken by how many the user has at first; less greedy with its 95 % interval, "
            "paired by user. `*`: sure after Holm's correction over the table.",
            "",
            _table(some, "n_taken", PLAIN, 2),
            "",
            f"The same less {HEARD}, which has what was refused and does not explore:",
            "",
            _table(some[~some["policy"].isin(("popularity", PLAIN))], "n_taken", HEARD, 2),
            "",
            "NDCG@10 of the model on the half that was not shown, after the session; less greedy:",
            "",
            _table(some, "ndcg@10", PLAIN, 4),
            "",
            "The same of the posterior's mean, which has what was refused; less greedy:",
            "",
            _table(some, "corrected_ndcg@10", PLAIN, 4),
            "",
        ]
    lines += [f"![Regret]({name})\n" for name in pictures[:1]]
    lines += ["## Calibration", "", *_calibration(found), ""]
    lines += [f"![Reliability]({name})\n" for name in pictures[1:]]
    lines += ["## What validation users chose", "", *_choices(found), "", made]
    return "\n".join(lines)


def _table(after: pd.DataFrame, metric: str, base: str, decimals: int) -> str:
    """Return means by policy and k, with the paired difference to one of them."""
    kept = after[["user", "seed", "k", "policy", metric]]
    policies = list(dict.fromkeys(kept["policy"]))
    of_base = kept[kept["policy"] == base]
    compared = {
        policy: compare_paired(kept[kept["policy"] == policy], of_base, metric=metric)
        for policy in policies
        if policy != base
    }
    all_p = pd.concat(compared, names=["policy"])
    all_p["p_value"] = holm(all_p["p_value"])
    mean, rows = kept.groupby(["policy", "k"])[metric].mean(), []
    for policy in policies:
        cells = [policy]
        for k in sorted(kept["k"].unique()):
            cell = f"{mean[policy, k]:.{decimals}f}"
            if policy != base:
                row = all_p.loc[policy].set_index("k").loc[k]
                cell += f" ({row['difference']:+.{decimals}f}, {row['lower']:+.{decimals}f} to "
                cell += f"{row['upper']:+.{decimals}f}){'*' if row['p_value'] <= 0.05 else ''}"
            cells.append(cell)
        rows.append(cells)
    if metric == "n_taken" and base == PLAIN:
        takeable = after[after["policy"] == base].groupby("k")["n_oracle"].mean()
        rows.append(["oracle", *(f"{value:.{decimals}f}" for value in takeable)])
    header = ["policy", *(f"k = {k}" for k in sorted(kept["k"].unique()))]
    return markdown_table(header, rows)


def _calibration(found: Explored) -> list[str]:
    errors = {
        name: calibration_error(reliability(found.shown[column], found.shown["is_taken"]))
        for name, column in (("guessed", "before"), ("fitted", "after"))
    }
    rows = []
    for name in ("guessed", "without spread", "fitted"):
        off = (found.counts[name] - 0.5).abs()
        error = f"{errors[name]:.3f}" if name in errors else ""
        rows.append(
            [name, error, *(f"{(off <= level / 2).mean():.1%}" for level in (0.5, 0.8, 0.95))]
        )
    header = ["scales", "calibration error", "in the 50 % interval", "80 %", "95 %"]
    return [
        "Test users. The expected calibration error of the chances given to what greedy sessions "
        "show, and how often the number taken of the next 50 items lies in the interval foretold.",
        "",
        markdown_table(header, rows),
    ]


def _choices(found: Explored) -> list[str]:
    mean = found.strengths.groupby(["policy", "strength"])["n_taken"].mean()
    chosen = found.chosen.groupby("policy")["strength"].apply(
        lambda s: ", ".join(f"{x:g}" for x in s)
    )
    rows = []
    for policy in chosen.index:
        cells = "; ".join(f"{strength:g}: {taken:.2f}" for strength, taken in mean[policy].items())
        rows.append([policy, cells, chosen[policy]])
    scales = [
        [str(int(row["seed"])), *(f"{row[c]:.2f}" for c in ("level", "slope", "taste", "activity"))]
        for row in found.scales.to_dict("records")
    ]
    return [
        "Items taken by strength (mean over splits), and the strength chosen in each split:",
        "",
        markdown_table(["policy", "taken", "chosen"], rows),
        "",
        markdown_table(["split", "level", "slope", "taste", "activity"], scales),
    ]


def _draw(found: Explored, out: Path | None) -> list[str]:
    """Draw the pictures beside the report; return their names, none where there are none."""
    if out is None or not has_matplotlib():
        return []
    paths = [out.with_name(f"{out.stem}-{name}.png") for name in ("regret", "reliability")]
    _draw_regret(found, paths[0])
    _draw_reliability(found, paths[1])
    return [path.name for path in paths]


def _draw_regret(found: Explored, path: Path) -> None:
    keys = ["seed", "user", "k", "slate", "policy"]
    rounds = found.rounds.merge(found.after[[*keys, "n_takeable"]], on=keys)
    rounds["taken"] = rounds.sort_values("round").groupby(keys)["n_taken"].cumsum()
    rounds["shown"] = rounds["round"] * rounds["slate"]
    rounds["regret"] = rounds[["shown", "n_takeable"]].min(axis=1) - rounds["taken"]
    mean = rounds.groupby(["slate", "k", "policy", "shown"])["regret"].mean()
    slates, sizes = sorted(rounds["slate"].unique()), sorted(rounds["k"].unique())
    policies = list(dict.fromkeys(rounds["policy"]))
    with figure(path, width=3.6 * len(sizes), height=3.2 * len(slates)) as (drawing, whole):
        whole.remove()
        panels = drawing.subplots(len(slates), len(sizes), sharey="row", squeeze=False)
        for line, slate in zip(panels, slates, strict=True):
            for axes, k in zip(line, sizes, strict=True):
                for policy, style in zip(policies, line_styles(len(policies)), strict=True):
                    curve = mean[slate, k, policy]
                    axes.plot(curve.index, curve.to_numpy(), label=policy, **style, markersize=4)
                axes.set_title(f"slates of {slate}, {k} items at first", fontsize=10)
                plain(axes)
            line[0].set_ylabel("items missed of the oracle's")
        for axes in panels[-1]:
            axes.set_xlabel("items shown")
        handles = panels[0][0].get_legend_handles_labels()
        drawing.legend(*handles, loc="outside lower center", ncols=len(policies))


def _draw_reliability(found: Explored, path: Path) -> None:
    with figure(path, width=6.0, height=5.2) as (_, axes):
        axes.plot([0, 1], [0, 1], color="#888888", linewidth=1, label="as expected")
        names = {"before": "guessed scales", "after": "fitted scales"}
        for (column, name), style in zip(names.items(), line_styles(2), strict=True):
            table = reliability(found.shown[column], found.shown["is_taken"])
            axes.plot(table["chance"], table["observed"], label=name, **style)
        axes.set_xlabel("chance that was given")
        axes.set_ylabel("share that was taken")
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        axes.legend(loc="upper left")
        plain(axes)
