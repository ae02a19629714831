"""The table of methods for new users whose friends are known, as Markdown."""

from __future__ import annotations

import pandas as pd

from graphmeta.experiments.ahead_table import ahead_table
from graphmeta.experiments.means_table import means_table

OURS = "graphmeta-with-links"


def social_report(per_user: pd.DataFrame, sessions: str) -> str:
    """Return the methods' NDCG@10 of users with links and of all, and what ours is ahead by.

    Args:
        per_user: Columns data, method, seed, user, k, n_links and ndcg@10.
        sessions: Who computed the cells, as a Markdown list.
    """
    parts = [
        "# New users with friends",
        sessions,
        "NDCG@10 of test users who show their first k items. Methods down to *graphmeta* are given "
        "no links; all others know to which training users a new user is linked. Baselines are "
        "tuned for each k on the validation users.",
    ]
    for name, found in per_user.groupby("data", sort=False):
        linked = found[found["n_links"] > 0]
        users = found.drop_duplicates(["seed", "user"])
        links = users["n_links"][users["n_links"] > 0]
        parts += [
            f"## {name}",
            f"{len(users)} test users over {users['seed'].nunique()} splits, of whom {len(links)} "
            f"are linked to a training user, to {links.median():.0f} at the median.",
            "Users with links:",
            means_table(linked),
        ]
        if OURS in set(found["method"]):
            parts += [
                f"What *{OURS}* is ahead by for users with links, paired by user, with the 95 % "
                "interval; p of a sign-flip test, Holm-corrected over the table.",
                ahead_table(linked, OURS),
            ]
        parts += ["All users:", means_table(found)]
    return "\n\n".join(parts) + "\n"
