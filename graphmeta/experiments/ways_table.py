"""Quality of several ways of training, each against the first."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from graphmeta.experiments.contrasts import SHOWN
from graphmeta.ranking.significance import compare_paired, holm

QUALITY = ["trained", "k", "NDCG@10", "difference", "interval", "relative", "p"]


def quality_rows(frames: Mapping[str, pd.DataFrame]) -> list[list[str]]:
    """Return the rows of a table with the header `QUALITY`.

    Differences are paired over users; p is that of a sign-flip test, Holm-corrected over the table.

    Args:
        frames: Each way's figures of the same users, columns seed, user, k and "ndcg@10"; all
            others are compared with the first.
    """
    (first, base), *others = frames.items()
    mean = base.groupby("k")[SHOWN].mean()
    rows = [[first, str(k), f"{value:.4f}", "", "", "", ""] for k, value in mean.items()]
    if not others:
        return rows
    compared = pd.concat(
        [
            compare_paired(frame, base).assign(
                way=way, mean=frame.groupby("k")[SHOWN].mean().values
            )
            for way, frame in others
        ]
    )
    compared["p"] = holm(compared["p_value"])
    for row in compared.to_dict("records"):
        relative = row["difference"] / mean[row["k"]]
        rows.append(
            [
                str(row["way"]),
                str(row["k"]),
                f"{row['mean']:.4f}",
                f"{row['difference']:+.4f}",
                f"{row['lower']:+.4f} to {row['upper']:+.4f}",
                f"{relative:+.1%}",
                f"{row['p']:.4f}",
            ]
        )
    return rows
