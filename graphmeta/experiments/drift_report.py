"""The tables and the picture of `graphmeta.experiments.drift`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from graphmeta.experiments.markdown_table import markdown_table
from graphmeta.explain.figure import figure, has_matplotlib, line_styles
from graphmeta.ranking.bootstrap import bootstrap_interval
from graphmeta.ranking.significance import compare_paired, holm

SHOWN = "ndcg@10"
WAYS = ("frozen", "refreshed", "fine-tuned", "retrained")
FULL = "retrained"
# The aim: so much of the quality of training anew at so little of its cost.
QUALITY, COST = 0.95, 0.05


def drift_report(found: pd.DataFrame, *, name: str, out: Path | None) -> str:
    """Return the report in Markdown; its picture is drawn beside `out`.

    Args:
        found: A row per seed, window, way, user and support size, with its `ndcg@10`, the way's
            `cpu_s` in that window, and what describes the window.
        name: The data set.
        out: The report's file, None where it is not written.
    """
    of_user = (
        found[found["k"] > 0]
        .groupby(["seed", "window", "way", "user"], as_index=False)
        .agg({SHOWN: "mean", "cpu_s": "first"})
    )
    sizes = ", ".join(str(k) for k in sorted(found["k"].unique()) if k > 0)
    picture = _draw(of_user, name, out)
    lines = [
        f"## {name}",
        "",
        _window_table(found),
        "",
        f"NDCG@10 of a window's new users, mean over support sizes {sizes}; seeds "
        f"{', '.join(map(str, sorted(found['seed'].unique())))}. All ways start from one model, "
        "trained before window 0.",
        "",
        _by_window(of_user),
        "",
        *([f"![NDCG@10 by window]({picture})", ""] if picture else []),
        "All later windows together, paired with training anew: 95 % bootstrap intervals over",
        "users, p of a sign-flip test, Holm-corrected over the ways. CPU seconds are of a window.",
        "",
        _against_full(of_user[of_user["window"] > 0]),
        "",
    ]
    return "\n".join(lines)


def _window_table(found: pd.DataFrame) -> str:
    rows = []
    for number, window in found.groupby("window"):
        first = window.iloc[0]
        began = pd.to_datetime(first["start"], unit="s").strftime("%Y-%m-%d %H:%M")
        sizes = [str(int(first[n])) for n in ("n_train_users", "n_items", "n_edges")]
        rows.append([f"{number}, {began}", *sizes, str(window["user"].nunique())])
    header = ["window, from", "training users", "items", "interactions", "new users"]
    return markdown_table(header, rows)


def _by_window(of_user: pd.DataFrame) -> str:
    mean = of_user.groupby(["way", "window"])[SHOWN].mean()
    windows = sorted(of_user["window"].unique())
    rows = [[way, *(f"{mean[way, w]:.4f}" for w in windows)] for way in WAYS]
    return markdown_table(["", *(f"window {w}" for w in windows)], rows)


def _against_full(of_user: pd.DataFrame) -> str:
    """Return each way's quality and cost, and how it compares with training anew."""
    full = of_user[of_user["way"] == FULL]
    others = [way for way in WAYS if way != FULL]
    compared = pd.concat(
        [
            compare_paired(of_user[of_user["way"] == w].assign(k=0), full.assign(k=0), metric=SHOWN)
            for w in others
        ],
        keys=others,
    ).droplevel(1)
    compared["p_holm"] = holm(compared["p_value"])
    cost = of_user.groupby(["seed", "window", "way"])["cpu_s"].first().groupby("way").mean()
    rows = []
    for way in others:
        row, mine = compared.loc[way], of_user[of_user["way"] == way]
        share, (low, high) = _share(mine, full)
        spent = cost[way] / cost[FULL]
        rows.append(
            [
                way,
                f"{mine[SHOWN].mean():.4f}",
                f"{row['difference']:+.4f} ({row['lower']:+.4f} to {row['upper']:+.4f})",
                f"{row['p_holm']:.4f}",
                f"{share:.1%} ({low:.1%} to {high:.1%})",
                f"{cost[way]:.2f}",
                f"{spent:.2%}",
                _verdict(share, low, spent),
            ]
        )
    rows.append(
        [FULL, f"{full[SHOWN].mean():.4f}", "", "", "100 %", f"{cost[FULL]:.1f}", "100 %", ""]
    )
    header = ["", "NDCG@10", f"less {FULL}", "p", "quality", "CPU s", "cost", "target"]
    return markdown_table(header, rows)


def _share(mine: pd.DataFrame, full: pd.DataFrame) -> tuple[float, tuple[float, float]]:
    """Return the ratio of two means and its interval, a user's seeds kept together."""
    totals = [frame.groupby("user")[SHOWN].sum() for frame in (mine, full)]
    sums, counts = (total.sort_index().to_numpy(np.float64)[:, None] for total in totals)
    low, high = bootstrap_interval(sums, counts)
    return float(sums.sum() / counts.sum()), (float(low[0]), float(high[0]))


def _verdict(share: float, low: float, spent: float) -> str:
    if spent >= COST or share < QUALITY:
        return "missed"
    return "met, surely" if low >= QUALITY else "met on average"


def _draw(of_user: pd.DataFrame, name: str, out: Path | None) -> str | None:
    """Draw each way's curve beside the report; return the picture's name."""
    if out is None or not has_matplotlib():
        return None
    path = out.with_suffix(".png")
    with figure(path, height=4.6) as (_, axes):
        for shift, (way, style) in enumerate(zip(WAYS, line_styles(len(WAYS)), strict=True)):
            mine = of_user[of_user["way"] == way]
            mean, low, high = [], [], []
            for _, window in mine.groupby("window"):
                values = window.groupby("user")[SHOWN].mean().to_numpy(np.float64)[:, None]
                mean.append(values.mean())
                ends = bootstrap_interval(values)
                low.append(mean[-1] - ends[0][0])
                high.append(ends[1][0] - mean[-1])
            x = np.arange(len(mean)) + 0.06 * (shift - 1.5)
            axes.errorbar(x, mean, yerr=[low, high], label=way, capsize=2, **style)
        axes.set_xticks(range(of_user["window"].nunique()))
        axes.set_xlabel(f"window in global time ({name}); all start from the model of window 0")
        axes.set_ylabel("NDCG@10 of new users")
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=4)
    return str(path.name)
