"""The table of methods for users who are known in other domains, as Markdown."""

from __future__ import annotations

import pandas as pd

from graphmeta.experiments.ahead_table import ahead_table
from graphmeta.experiments.means_table import means_table

OURS = "all-domains-graphmeta"


def domains_report(per_user: pd.DataFrame, sessions: str) -> str:
    """Return the methods' NDCG@10 over all targets and in each, and what ours is ahead by.

    Args:
        per_user: Columns target, method, seed, user, k and ndcg@10.
        sessions: Who computed the cells, as a Markdown list.
    """
    # A person who arrives in two domains is one user of two.
    n_users = per_user["user"].nunique()
    n_arrivals = len(per_user.drop_duplicates(["target", "seed", "user"]))
    parts = [
        "# Known in other domains, new in this one",
        sessions,
        f"NDCG@10 of {n_arrivals} arrivals of {n_users} users in {per_user['target'].nunique()} "
        "domains. A user shows the first k items of the domain; only its items are ranked. "
        "Methods of one domain see nothing else; those of all domains are fitted on "
        "all and are given what the user did in the others before.",
        means_table(per_user),
    ]
    if OURS in set(per_user["method"]):
        parts += [
            f"What *{OURS}* is ahead by, paired by user, with the 95 % interval; p of a "
            "sign-flip test, Holm-corrected over the table.",
            ahead_table(_arrivals_apart(per_user), OURS),
        ]
    for target, held in per_user.groupby("target", sort=False):
        parts += [f"## Domain {target}, {held['user'].nunique()} users", means_table(held)]
    return "\n\n".join(parts) + "\n"


def _arrivals_apart(per_user: pd.DataFrame) -> pd.DataFrame:
    """Return a row per person, split and domain: the pairs of these two are told apart as seeds."""
    return per_user.assign(seed=per_user["target"] + "/" + per_user["seed"].astype(str))
