"""The figures of a benchmark."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from graphmeta.explain.figure import COLORS, MARKERS, figure, plain


def draw_gains(path: Path, gains: pd.DataFrame) -> None:
    """Draw the relative gain over the best baseline of each data set and k, with its interval.

    Args:
        path: The PNG file.
        gains: What `gain_table` returned.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    names, sizes = list(dict.fromkeys(gains["data"])), sorted(gains["k"].unique())
    with figure(path, width=9.0, height=1.6 + 0.55 * len(names)) as (_, axes):
        for number, k in enumerate(sizes):
            rows = gains[gains["k"] == k]
            shift = 0.17 * (number - (len(sizes) - 1) / 2)
            reach = [rows["gain"] - rows["lower_gain"], rows["upper_gain"] - rows["gain"]]
            axes.errorbar(
                100 * rows["gain"],
                [names.index(name) + shift for name in rows["data"]],
                xerr=[100 * part.clip(lower=0).to_numpy() for part in reach],
                fmt=MARKERS[number],
                color=COLORS[number],
                elinewidth=1.0,
                markersize=5,
                label=f"k = {k}",
            )
        axes.axvline(0, color="#000000", linewidth=0.8)
        axes.set_yticks(range(len(names)), names)
        axes.invert_yaxis()
        axes.set_xlabel("NDCG@10 over the best tuned baseline of that k, %, with 95 % interval")
        plain(axes)
        axes.grid(axis="x", color="#dddddd", linewidth=0.7)
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)


def draw_shot_curves(path: Path, gains: pd.DataFrame) -> None:
    """Draw NDCG@10 over k for each data set: ours, and the best baseline of each k.

    Args:
        path: The PNG file.
        gains: What `gain_table` returned.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    names = list(dict.fromkeys(gains["data"]))
    n_columns = min(4, len(names))
    n_rows = -(-len(names) // n_columns)
    with figure(path, width=2.6 * n_columns + 0.6, height=2.3 * n_rows + 0.8) as (drawing, axes):
        axes.remove()
        panels = drawing.subplots(n_rows, n_columns, squeeze=False).flatten()
        for panel, name in zip(panels, names, strict=False):
            rows = gains[gains["data"] == name].sort_values("k")
            place = range(len(rows))
            panel.plot(place, rows["ours"], "o-", color=COLORS[0], label="graphmeta")
            panel.plot(place, rows["best"], "s--", color=COLORS[1], label="best baseline of that k")
            panel.set_xticks(place, [str(k) for k in rows["k"]])
            panel.set_title(name, fontsize=9)
            plain(panel)
        for panel in panels[len(names) :]:
            panel.remove()
        drawing.supxlabel("interactions that the new user has shown (k)", fontsize=9)
        drawing.supylabel("NDCG@10", fontsize=9)
        handles, labels = panels[0].get_legend_handles_labels()
        drawing.legend(handles, labels, loc="outside upper center", ncols=2, frameon=False)


def draw_helped(path: Path, gains: pd.DataFrame) -> None:
    """Draw the shares of users whom ours serves better and worse than the best baseline.

    Args:
        path: The PNG file.
        gains: What `gain_table` returned.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    labels = [f"{row.data}, k = {row.k}" for row in gains.itertuples()]
    with figure(path, width=8.0, height=1.2 + 0.24 * len(labels)) as (_, axes):
        place = range(len(labels))
        axes.barh(place, 100 * gains["helped"], color=COLORS[0], label="helped")
        axes.barh(place, -100 * gains["harmed"], color=COLORS[1], label="harmed")
        axes.axvline(0, color="#000000", linewidth=0.8)
        axes.set_yticks(place, labels, fontsize=7)
        axes.invert_yaxis()
        axes.xaxis.set_major_formatter(lambda value, _: f"{abs(value):.0f}")
        axes.set_xlabel("% of test users; the others are served alike")
        plain(axes)
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False)
