"""What does it cost to show more of the long tail, by the way of ranking for it?

Run it with `python -m graphmeta.experiments.popularity`, or for a data set that has a card with
`--data ml-1m --data-root FOLDER`. Validation users choose how strongly each way is applied, and
test users tell what it costs and brings.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import pandas as pd

from graphmeta.errors import ConfigError
from graphmeta.experiments.fitted_splits import fitted_splits, made_by, run_report, split_options
from graphmeta.experiments.markdown_table import markdown_table
from graphmeta.experiments.popularity_frontier import PLAIN, WAYS, frontier, strongest, weakest
from graphmeta.explain.figure import figure, has_matplotlib, line_styles, plain
from graphmeta.ranking import compare_paired, holm

PROGRAM = "graphmeta.experiments.popularity"
# The claim: so much more of the long tail.
WANTED = 1.5
ENDS = ("lower", "upper")
COLUMNS = (
    *("way", "k", "strength", "NDCG@10 as trained", "difference", "of it", "p"),
    *("tail share as trained", "with it", "times"),
)
OF_CATALOGUE = ["tail_ndcg@10", "niche_ndcg@10", "mainstream_ndcg@10", "coverage@10", "gini@10"]


class Found(NamedTuple):
    """What `frontier` returned for every split, with a column `seed`."""

    tried: pd.DataFrame
    per_user: pd.DataFrame
    catalogue: pd.DataFrame


def main(argv: list[str] | None = None) -> int:
    """Rank, print tables and return the exit code: 2 where that cannot be done."""
    parser = split_options(PROGRAM)
    parser.add_argument("--k", type=int, nargs="+", default=[1, 3, 5, 10], help="items shown")
    parser.add_argument(
        "--most-lost", type=float, default=0.02, help="share of NDCG@10 that may be lost"
    )
    parser.add_argument(
        "--times", type=float, help="choose the weakest that shows so many times the tail instead"
    )
    typed = parser.parse_args(argv)

    def report() -> str:
        found = _run(typed)
        return _report(found, typed, argv, picture=_draw(found, typed))

    return run_report(typed, report)


def _run(typed: argparse.Namespace) -> Found:
    is_few = typed.times is not None and typed.times <= 1
    if min(typed.k) < 1 or not 0 < typed.most_lost < 1 or is_few:  # Before minutes of training.
        raise ConfigError(
            f"--k {min(typed.k)} must be at least 1, --most-lost {typed.most_lost} within 0..1 "
            f"and --times {typed.times} above 1"
        )
    choose = partial(strongest, most_lost=typed.most_lost)
    if typed.times is not None:
        choose = partial(weakest, times=typed.times)
    parts = []
    for split, model in fitted_splits(typed):
        found = frontier(model, split, k=typed.k, choose=choose)
        parts.append([frame.assign(seed=split.seed) for frame in found])
    return Found(*(pd.concat(frames, ignore_index=True) for frames in zip(*parts, strict=True)))


def claims(found: Found) -> pd.DataFrame:
    """Return what each way cost and brought the test users.

    Returns:
        A row per way and support size: `way`, `k`, `strength` (a text, of each split in turn),
        `ndcg` as trained, the `difference` with `lower` and `upper` and Holm's `p`, `lost` as a
        share, the long tail's `share` `before` and after with `share_lower` and `share_upper`.
    """
    plain_rows = found.per_user[found.per_user["way"] == PLAIN]
    means = plain_rows.groupby("k")[["ndcg@10", "tail_share@10"]].mean()
    tables = []
    for way in WAYS:
        of_way = found.per_user[found.per_user["way"] == way]
        cost = compare_paired(of_way, plain_rows).set_index("k")
        more = compare_paired(of_way, plain_rows, metric="tail_share@10").set_index("k")
        strength = of_way.groupby(["k", "seed"])["strength"].first()
        ndcg, before = means["ndcg@10"], means["tail_share@10"]
        table = pd.DataFrame({"way": way, "ndcg": ndcg, "before": before})
        table["strength"] = [", ".join(f"{s:g}" for s in strength[k]) for k in table.index]
        table[["difference", "lower", "upper", "p"]] = cost[
            ["difference", "lower", "upper", "p_value"]
        ]
        table["lost"] = -cost["difference"] / ndcg
        for name, column in (("share", "difference"), *((f"share_{c}", c) for c in ENDS)):
            table[name] = before + more[column]
        tables.append(table.reset_index())
    out = pd.concat(tables, ignore_index=True)
    return out.assign(p=holm(out["p"]))


def _report(
    found: Found, typed: argparse.Namespace, argv: list[str] | None, *, picture: str | None
) -> str:
    table, most_lost = claims(found), typed.most_lost
    reached, surely = (_reached(table, most_lost, is_sure=is_sure) for is_sure in (False, True))
    n_users = len(found.per_user.drop_duplicates(["seed", "user"]))
    lines = [
        f"## {typed.data or 'movielens-small'}",
        "",
        f"{n_users} test users of {len(typed.seeds)} splits. The long tail is the least known",
        "items that hold 20 % of the training interactions. A way's strength, for each split in",
        f"turn, is the {_rule(typed)} on the validation users.",
        "",
        markdown_table(COLUMNS, [_cells(row) for row in table.to_dict(orient="records")]),
        "",
        "Differences are paired by user, with 95 % bootstrap intervals; p is that of a sign-flip",
        f"test, Holm-corrected over all rows. At least {WANTED} times the share for at most",
        f"{most_lost:.0%} of NDCG@10: {reached}.",
        f"Surely so, by both intervals: {surely}.",
        "",
        *([f"![NDCG@10 against the share of the long tail]({picture})", ""] if picture else []),
        "What else changes for the test users, means over the splits:",
        "",
        _catalogue(found),
        "",
        made_by(PROGRAM, argv),
    ]
    return "\n".join(lines)


def _rule(typed: argparse.Namespace) -> str:
    if typed.times is not None:
        return f"weakest that shows {typed.times:g} times the long tail"
    return f"strongest that loses at most {typed.most_lost:.0%} of NDCG@10"


def _reached(table: pd.DataFrame, most_lost: float, *, is_sure: bool) -> str:
    """Return where enough of the tail is shown and little enough lost, or surely so."""
    share, lost = table["share"], table["lost"]
    if is_sure:
        share, lost = table["share_lower"], -table["lower"] / table["ndcg"]
    found = table[(share >= WANTED * table["before"]) & (lost <= most_lost)]
    ways = found.groupby("way", sort=False)["k"].apply(list)
    return (
        "; ".join(f"{way} at k = {', '.join(map(str, k))}" for way, k in ways.items()) or "nowhere"
    )


def _cells(row: Mapping[Any, Any]) -> list[str]:
    difference = f"{row['difference']:+.4f} ({row['lower']:+.4f} to {row['upper']:+.4f})"
    share = f"{row['share']:.2%} ({row['share_lower']:.2%} to {row['share_upper']:.2%})"
    times = f"{row['share'] / row['before']:.1f}" if row["before"] else "-"
    lost = f"{-row['lost']:+.1%}"
    numbers = [difference, lost, f"{row['p']:.4f}", f"{row['before']:.2%}", share, times]
    return [row["way"], str(row["k"]), row["strength"], f"{row['ndcg']:.4f}", *numbers]


def _catalogue(found: Found) -> str:
    means = found.catalogue.groupby(["k", "way"], sort=False)[OF_CATALOGUE].mean()
    rows = [
        [way, str(k), *(f"{value:.4f}" for value in means.loc[(k, way)])]
        for k in sorted(found.catalogue["k"].unique())
        for way in (PLAIN, *WAYS)
    ]
    return markdown_table(["way", "k", *OF_CATALOGUE], rows)


def _draw(found: Found, typed: argparse.Namespace) -> str | None:
    """Draw the frontiers beside the report; return the picture's name, None where there is none."""
    if typed.out is None or not has_matplotlib():
        return None
    path = typed.out.with_suffix(".png")
    axes_of = ["ndcg@10", "tail_share@10"]
    tried = found.tried.groupby(["way", "strength", "k"])[axes_of].mean().reset_index()
    n_rows, n_columns = -(-len(typed.k) // 2), min(2, len(typed.k))
    with figure(path, width=9.0, height=3.4 * n_rows + 0.8) as (drawing, whole):
        whole.remove()
        panels = [*drawing.subplots(n_rows, n_columns, squeeze=False).flat]
        for axes, k in zip(panels, typed.k, strict=False):
            _draw_panel(axes, tried[tried["k"] == k], typed.most_lost)
            axes.set_title(f"k = {k}", loc="left")
        for axes in panels[len(typed.k) :]:
            axes.set_axis_off()
        lines, labels = panels[0].get_legend_handles_labels()
        drawing.legend(lines, labels, loc="outside upper center", ncols=len(WAYS), frameon=False)
        drawing.supxlabel("share of the long tail in the best ten, validation users")
        drawing.supylabel("NDCG@10")
    return str(path.name)


def _draw_panel(axes: Any, tried: pd.DataFrame, most_lost: float) -> None:
    start = tried[tried["way"] == PLAIN]
    best = float(start["ndcg@10"].iloc[0])
    for way, style in zip(WAYS, line_styles(len(WAYS)), strict=True):
        curve = pd.concat([start, tried[tried["way"] == way]])
        axes.plot(curve["tail_share@10"], curve["ndcg@10"], label=way, markersize=4, **style)
    axes.axhline((1 - most_lost) * best, color="#555555", linewidth=0.8, linestyle=":")
    axes.set_ylim(0.9 * best, 1.01 * best)
    axes.annotate(
        f"-{most_lost:.0%}",
        (1, (1 - most_lost) * best),
        xycoords=("axes fraction", "data"),
        ha="right",
        va="bottom",
    )
    axes.xaxis.set_major_formatter(lambda share, _: f"{100 * share:g}%")
    plain(axes)


if __name__ == "__main__":
    sys.exit(main())
