"""What one method is ahead of each other by, as a Markdown table."""

from __future__ import annotations

import pandas as pd

from graphmeta.experiments.contrasts import SHOWN
from graphmeta.experiments.markdown_table import markdown_table
from graphmeta.experiments.result_table import short
from graphmeta.ranking.significance import compare_paired, holm


def ahead_table(
    per_user: pd.DataFrame, ours: str, *, metric: str = SHOWN, column: str = "k"
) -> str:
    """Return the paired differences of one method less each other, at each k.

    Args:
        per_user: Columns method, seed, user, `column` and `metric`; every method ranks for the
            same users.
        ours: The method.
        metric: What to compare.
        column: What the comparisons are made for each of.

    Returns:
        A row per other method and k, with the 95 % interval and the p of a sign-flip test,
        Holm-corrected over the table.
    """
    per_user = per_user.rename(columns={column: "k"})
    own = per_user[per_user["method"] == ours]
    tables = [
        compare_paired(own, per_user[per_user["method"] == other], metric=metric).assign(
            other=other
        )
        for other in per_user["method"].unique()
        if other != ours
    ]
    table = pd.concat(tables, ignore_index=True)
    table["p"] = holm(table["p_value"])
    rows = [
        [
            str(row["other"]),
            str(row["k"]),
            f"{row['difference']:+.4f}",
            f"{row['lower']:+.4f} to {row['upper']:+.4f}",
            short(float(row["p"]), 4),
        ]
        for _, row in table.iterrows()
    ]
    return markdown_table(["than", column, "ahead by", "interval", "p"], rows)
