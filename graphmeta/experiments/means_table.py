"""The methods' mean figures at every support size, as a Markdown table."""

from __future__ import annotations

import pandas as pd

from graphmeta.experiments.contrasts import SHOWN
from graphmeta.experiments.markdown_table import markdown_table
from graphmeta.experiments.result_table import short


def means_table(per_user: pd.DataFrame) -> str:
    """Return the mean NDCG@10 of each method and k, the best of each k in bold.

    Args:
        per_user: Columns method, k and ndcg@10; methods in the order of the rows.
    """
    mean = per_user.groupby(["method", "k"], sort=False)[SHOWN].mean().unstack().sort_index(axis=1)
    is_best = mean == mean.max()
    rows = []
    for method in mean.index:
        figures = {k: short(float(mean.loc[method, k]), 4) for k in mean.columns}
        cells = [f"**{text}**" if is_best.loc[method, k] else text for k, text in figures.items()]
        rows.append([str(method), *cells])
    return markdown_table(["method", *(f"k = {k}" for k in mean.columns)], rows)
