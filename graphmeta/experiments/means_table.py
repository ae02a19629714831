"""The methods' mean figures at every support size or part, as a Markdown table."""

from __future__ import annotations

import pandas as pd

from graphmeta.experiments.contrasts import SHOWN
from graphmeta.experiments.markdown_table import markdown_table
from graphmeta.experiments.result_table import short


def means_table(per_user: pd.DataFrame, *, metric: str = SHOWN, column: str = "k") -> str:
    """Return the mean of each method and k, the best of each k in bold.

    Args:
        per_user: Columns method, `column` and `metric`; methods in the order of the rows.
        metric: What to average.
        column: What the table has a column for each of.
    """
    grouped = per_user.groupby(["method", column], sort=False)[metric]
    mean = grouped.mean().unstack().sort_index(axis=1)
    is_best = mean == mean.max()
    rows = []
    for method in mean.index:
        figures = {k: short(float(mean.loc[method, k]), 4) for k in mean.columns}
        cells = [f"**{text}**" if is_best.loc[method, k] else text for k, text in figures.items()]
        rows.append([str(method), *cells])
    titles = [f"k = {name}" if column == "k" else str(name) for name in mean.columns]
    return markdown_table(["method", *titles], rows)
