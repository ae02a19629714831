"""Synthetic interactions with planted taste groups."""

from __future__ import annotations

import numpy as np
import pandas as pd

from graphmeta.errors import ConfigError


def planted_interactions(
    n_users: int = 200,
    n_items: int = 100,
    n_groups: int = 4,
    *,
    per_user: int = 20,
    loyalty: float = 0.8,
    skew: float = 1.0,
    seed: int = 0,
) -> pd.DataFrame:
    """Draw interactions of users who like the items of their own taste group.

    User u belongs to group `u % n_groups`, item i to group `i % n_groups`. Each user draws
    `per_user` distinct items with weight popularity (`rank ** -skew`) times `loyalty` inside
    the group or `1 - loyalty` outside. Own-group items are rated 4 or 5, others 1 to 3.

    Returns:
        A table with columns user (`u0`), item (`i0`), rating and time (whole seconds),
        in the order of time.

    Raises:
        ConfigError: A size is below 1, `per_user` is not below `n_items`, or `loyalty` lies
            outside 0..1.
    """
    if min(n_users, n_items, n_groups, per_user) < 1:
        raise ConfigError("n_users, n_items, n_groups and per_user must be at least 1")
    if per_user >= n_items:
        raise ConfigError(f"per_user={per_user} is not below the {n_items} items; lower it")
    if not 0 < loyalty < 1:
        raise ConfigError(f"loyalty={loyalty} must lie strictly between 0 and 1")
    rng = np.random.default_rng(seed)
    own = np.arange(n_users)[:, None] % n_groups == np.arange(n_items) % n_groups
    weight = (1.0 + rng.permutation(n_items)) ** -skew * np.where(own, loyalty, 1 - loyalty)
    # Gumbel top-k: the largest perturbed log-weights are a draw without replacement.
    noisy = np.log(weight) + rng.gumbel(size=weight.shape)
    items = np.argsort(-noisy, axis=1)[:, :per_user].ravel()
    users = np.repeat(np.arange(n_users), per_user)
    liked = own[users, items]
    table = pd.DataFrame(
        {
            "user": [f"u{u}" for u in users],
            "item": [f"i{i}" for i in items],
            "rating": np.where(
                liked, rng.integers(4, 6, len(users)), rng.integers(1, 4, len(users))
            ),
            "time": rng.integers(0, 10**6, len(users)),
        }
    )
    return table.sort_values("time", kind="stable", ignore_index=True)
