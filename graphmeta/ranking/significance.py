"""Whether one method ranks better than another for the same users."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from graphmeta.errors import ConfigError, DataError
from graphmeta.ranking.bootstrap import bootstrap_interval, draw_blocks

Array = np.ndarray[Any, np.dtype[Any]]
N_FLIPS = 9999


def compare_paired(
    a: pd.DataFrame, b: pd.DataFrame, *, metric: str = "ndcg@10", seed: int = 0
) -> pd.DataFrame:
    """Compare two methods user by user, at each support size.

    Where both frames have a `seed` column (split seeds are pooled), rows are matched by it as
    well; a user of several seeds is one user, whose rows are resampled together.

    The interval is a paired bootstrap over users. The p-value is that of a sign-flip
    permutation test on the users' differences: if the methods are alike, each user's difference
    is as likely to have the other sign. It tests the mean, which is what is published, and keeps
    a user's rows together. A Wilcoxon test would drop the many users with no difference and
    test the middle of the differences instead of their mean.

    Args:
        a: Per-user figures of the first method: `user`, `k`, `metric`, and perhaps `seed`.
        b: Those of the second, for the same users.
        metric: The column to compare.
        seed: Draws users and signs.

    Returns:
        One row per `k`: `difference` (a less b), `lower`, `upper` (95 %), `p_value` (two-sided,
        not below 1 / 10,000), `helped` and `harmed` (the shares of users for whom a is strictly
        better and strictly worse, over all of the user's rows), `n_users`.

    Raises:
        DataError: A column is missing, a row is there twice, a figure is missing, or the two
            frames hold different users, seeds or support sizes.
    """
    paired = _pair(a, b, metric)
    grouped = paired.groupby(["user", "k"])["difference"]
    sums, counts = grouped.sum().unstack(fill_value=0), grouped.size().unstack(fill_value=0)
    total, number = sums.to_numpy(dtype=np.float64), counts.to_numpy(dtype=np.float64)
    lower, upper = bootstrap_interval(total, number, seed=seed)
    n_users = (number > 0).sum(axis=0)
    return pd.DataFrame(
        {
            "k": sums.columns.to_numpy(),
            "difference": total.sum(axis=0) / number.sum(axis=0),
            "lower": lower,
            "upper": upper,
            "p_value": _sign_flip(total, seed),
            "helped": (total > 0).sum(axis=0) / n_users,
            "harmed": (total < 0).sum(axis=0) / n_users,
            "n_users": n_users,
        }
    )


def holm(p_values: Sequence[float] | pd.Series | Array) -> Array:
    """Return p-values adjusted for their number by Holm's step-down method.

    With m p-values in ascending order, `p'_(i) = max over j <= i of min(1, (m - j + 1) p_(j))`
    (Holm, "A simple sequentially rejective multiple test procedure", 1979). Rejecting where p'
    is at most .05 keeps the chance of any false rejection at .05, whatever their dependence.

    Shapes:
        output: float64, as many as `p_values`, in their order.

    Raises:
        ConfigError: A p-value is outside 0 to 1.
    """
    p = np.asarray(p_values, dtype=np.float64)
    if p.ndim != 1 or not bool(((p >= 0) & (p <= 1)).all()):
        raise ConfigError(f"expected a list of p-values from 0 to 1, got {p.tolist()}")
    order = np.argsort(p, kind="stable")
    stepped = np.minimum(1.0, np.arange(len(p), 0, -1) * p[order])
    adjusted = np.empty_like(p)
    adjusted[order] = np.maximum.accumulate(stepped)
    return adjusted


def _pair(a: pd.DataFrame, b: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return `user`, `k`, perhaps `seed`, and the difference a less b."""
    keys = ["user", "k"] + (["seed"] if "seed" in a and "seed" in b else [])
    for name, frame in (("a", a), ("b", b)):
        missing = [c for c in (*keys, metric) if c not in frame]
        if missing:
            raise DataError(f"frame {name} has no column {missing[0]!r}; it has {list(frame)}")
        if not len(frame):
            raise DataError(f"frame {name} is empty; evaluate at least one user")
        if bool(frame.duplicated(keys).any()):
            row = frame.loc[frame.duplicated(keys), keys].iloc[0].to_dict()
            raise DataError(f"frame {name} has {row} twice; give pooled split seeds a seed column")
        if not bool(np.isfinite(frame[metric].to_numpy(dtype=np.float64)).all()):
            raise DataError(f"frame {name} has a {metric} that is missing or infinite; drop it")
    columns = [*keys, metric]
    both = a[columns].merge(
        b[columns], on=keys, how="outer", suffixes=("_a", "_b"), indicator="found"
    )
    alone = both[both["found"] != "both"]
    if len(alone):
        only = "a" if alone["found"].iloc[0] == "left_only" else "b"
        raise DataError(
            f"{len(alone)} of {len(both)} rows are in one frame only (first: "
            f"{alone[keys].iloc[0].to_dict()} in {only}); compare the same users, seeds and k"
        )
    return both[keys].assign(difference=both[f"{metric}_a"] - both[f"{metric}_b"])


def _sign_flip(total: Array, seed: int) -> Array:
    """Return the two-sided p-value of each column's sum under random signs of the rows."""
    rng = np.random.default_rng(seed)
    seen = np.abs(total.sum(axis=0))
    # Sums of the same numbers in another order differ by rounding; count them as equal.
    slack = 1e-12 * np.abs(total).sum(axis=0)
    extreme = np.ones(total.shape[1])  # the signs as they were
    for n in draw_blocks(N_FLIPS, len(total)):
        sign = rng.integers(0, 2, size=(n, len(total)), dtype=np.int8)
        flipped = (2.0 * sign - 1.0) @ total
        extreme += (np.abs(flipped) >= seen - slack).sum(axis=0)
    return extreme / (N_FLIPS + 1)
