"""The tables that a run ends with: methods by support size, and what adapting adds."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

SHOWN = "ndcg@10"
NARROWEST = 100
CONTRAST_COLUMNS = ("adapted less", "k", "difference", "interval", "helped", "harmed", "p")


def print_results(summary: pd.DataFrame, metrics: dict[str, Any], console: Console) -> None:
    """Print the methods by support size, the best of each marked, the comparisons and notes.

    Args:
        summary: Columns method, k, metric, mean, lower, upper, n_users.
        metrics: The content of `metrics.json`.
        console: Where to print.
    """
    if not console.is_terminal:
        console.width = max(console.width, NARROWEST)
    console.print(methods_table(summary, metrics))
    if metrics["contrasts"]:
        console.print(contrasts_table(metrics["contrasts"]))
    for note in metrics["notes"]:
        console.print(f"note: {note}", markup=False, highlight=False, soft_wrap=True)


def methods_table(summary: pd.DataFrame, metrics: dict[str, Any]) -> Table:
    """Return the table of methods with intervals."""
    shown = summary[summary["metric"] == SHOWN].set_index(["method", "k"])
    best = {k: shown.xs(k, level="k")["mean"].max() for k in metrics["k"]}
    quick = "SMOKE RUN, not a result. " if metrics["quick"] else ""
    seeds = ", ".join(map(str, metrics["seeds"]))
    table = Table(
        title=f"{quick}NDCG@10 on {metrics['data']}, {metrics['n_users']} held-out users "
        f"(split seeds {seeds})",
        caption="± half the 95 % bootstrap interval over users; * best of its column",
    )
    table.add_column("method", no_wrap=True)
    for k in metrics["k"]:
        table.add_column(f"k = {k}", justify="right", no_wrap=True)
    for method in metrics["methods"]:
        cells = [_cell(shown.loc[(method, k)], best[k]) for k in metrics["k"]]
        table.add_row(method, *cells)
    return table


def contrasts_table(contrasts: Sequence[dict[str, Any]]) -> Table:
    """Return the table of paired comparisons, a row for each and k."""
    table = Table(
        title="Paired differences in NDCG@10",
        caption="95 % interval over users; shares of users helped and harmed; p Holm-corrected",
    )
    for name in CONTRAST_COLUMNS:
        is_text = name == CONTRAST_COLUMNS[0]
        table.add_column(name, justify="left" if is_text else "right", no_wrap=True)
    for row, following in zip_longest(contrasts, contrasts[1:]):
        ends = following is None or following["name"] != row["name"]
        table.add_row(*contrast_cells(row), end_section=ends)
    return table


def contrast_cells(row: dict[str, Any]) -> list[str]:
    """Return a comparison as the texts of `CONTRAST_COLUMNS`."""
    return [
        row["against"] + (" (best baseline)" if row["name"].endswith("baseline") else ""),
        str(row["k"]),
        short(row["difference"], 4, sign=True),
        f"{short(row['lower'], 4, sign=True)} to {short(row['upper'], 4, sign=True)}",
        f"{row['helped']:.0%}",
        f"{row['harmed']:.0%}",
        short(row["p_holm"], 4),
    ]


def _cell(row: pd.Series[Any], best: float) -> Text:
    half = (row["upper"] - row["lower"]) / 2
    is_best = row["mean"] == best
    text = f"{short(row['mean'], 4)} ±{short(half, 3)}" + ("*" if is_best else " ")
    return Text(text, style="bold" if is_best else "")


def short(value: float, digits: int, *, sign: bool = False) -> str:
    """Return .1234 for 0.1234, as figures below one are read most easily in a column."""
    text = f"{value:{'+' if sign else ''}.{digits}f}"
    for long, short in (("0.", "."), ("+0.", "+."), ("-0.", "-.")):
        if text.startswith(long):
            return short + text.removeprefix(long)
    return text
