"""The tables of methods that put rated items in order, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from graphmeta.experiments.ahead_table import ahead_table
from graphmeta.experiments.means_table import means_table

OURS = "rating-ridge"
METRICS = {
    "ndcg@5": "NDCG@5 with the ratings as gains",
    "better-half-ndcg@5": "NDCG@5 of the five higher rated of the ten",
    "better-half-precision@5": "Precision@5 of the same",
}


def rerating_report(per_user: pd.DataFrame, metrics: Mapping[str, str], sessions: str) -> str:
    """Return the figures of each protocol and part, and what ours is ahead by.

    Args:
        per_user: Columns protocol, part, method, seed, user and those of `rerate`.
        metrics: Of each protocol, the column that its methods are tuned and compared by.
        sessions: Who computed the cells, as a Markdown list.
    """
    parts = [
        "# Re-rating: the protocols of published tables",
        sessions,
        "Ten items that a user has rated are put in the order of the ratings, given the user's "
        "other ratings (3 to 90). **This is re-rating, not recommendation:** nothing but rated "
        "items is ranked, so that even *chance* scores high; the last digits of a row are to be "
        "read against it and against *item-mean*, which is the same for everybody. All methods "
        "but the first and the recommender are tuned on validation users; *melu*, *tanp* and "
        "*mamo* on MetaHIN's sets only in when they stop.",
    ]
    for name, found in per_user.groupby("protocol", sort=False):
        main = metrics[str(name)]
        rows = found.drop_duplicates(["part", "seed", "user"]).groupby("part").size()
        users = ", ".join(f"{count} {part}" for part, count in rows.items())
        parts += [
            f"## {name}",
            f"Rows of users over {found['seed'].nunique()} splits: {users}.",
        ]
        for metric in sorted(METRICS, key=lambda metric: metric != main):
            parts += [f"{METRICS[metric]}:", means_table(found, metric=metric, column="part")]
        if OURS in set(found["method"]):
            parts += [
                f"What *{OURS}* is ahead by in {METRICS[main]}, paired by user, with the 95 % "
                "interval; p of a sign-flip test, Holm-corrected over the table:",
                ahead_table(found, OURS, metric=main, column="part"),
            ]
    return "\n\n".join(parts) + "\n"
