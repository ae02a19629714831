"""The k-shot curve: what more support buys."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from graphmeta.explain.figure import figure, line_styles, plain

SHOWN = "ndcg@10"


def draw_shot_curve(path: Path, summary: pd.DataFrame, *, title: str) -> None:
    """Draw the mean NDCG@10 of each method over k, with 95 % intervals.

    Methods stand side by side at each k, so that their intervals do not hide each other. Those
    far below the rest, as a random ranking is, are named under the curves: drawn, they would
    flatten all others.

    Args:
        path: The PNG file.
        summary: Columns method, k, metric, mean, lower, upper.
        title: Written above.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    shown, below = _in_the_picture(summary[summary["metric"] == SHOWN])
    sizes = sorted(shown["k"].unique())
    last = shown[shown["k"] == sizes[-1]].set_index("method")["mean"]
    names = list(dict.fromkeys(shown["method"]))
    styles = dict(zip(names, line_styles(len(names)), strict=True))
    width = min(0.05, 0.7 / len(names))
    with figure(path, width=9.5, height=5.5) as (_, axes):
        # The legend lists the methods in the order in which their curves end.
        for name in sorted(names, key=lambda name: -last[name]):
            rows = shown[shown["method"] == name].sort_values("k")
            shift = (names.index(name) - (len(names) - 1) / 2) * width
            place = [sizes.index(k) + shift for k in rows["k"]]
            reach = [rows["mean"] - rows["lower"], rows["upper"] - rows["mean"]]
            axes.errorbar(
                place,
                rows["mean"],
                yerr=[part.clip(lower=0).to_numpy() for part in reach],
                label=name,
                linewidth=2.2 if name == "adapted" else 1.1,
                elinewidth=0.8,
                markersize=5,
                **styles[name],
            )
        axes.set_xticks(range(len(sizes)), [str(k) for k in sizes])
        axes.set_xlabel("interactions that the new user has shown (k)" + below)
        axes.set_ylabel("NDCG@10, mean and 95 % interval")
        axes.set_title(title)
        plain(axes)
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)


def _in_the_picture(shown: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Return the rows to draw, and a line on the methods that lie far below them."""
    highest = shown.groupby("method", sort=False)["upper"].max()
    low = highest[highest < shown["mean"].max() / 2]
    if low.empty:
        return shown, ""
    named = ", ".join(f"{name} (at most {value:.3f})" for name, value in low.items())
    return shown[~shown["method"].isin(low.index)], f"\nfar below the picture: {named}"
