"""Resampling of users, for intervals of means."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from graphmeta.errors import ConfigError

Array = np.ndarray[Any, np.dtype[Any]]
# Weights held at once: 32 MiB.
BLOCK = 2**22


def bootstrap_interval(
    sums: Array, counts: Array | None = None, *, n_draws: int = 1000, seed: int = 0
) -> tuple[Array, Array]:
    """Return the 95 % percentile interval of each column's mean, resampling rows.

    A draw of n rows with replacement is a multinomial weight for each row, so all draws are a
    matrix product. A row stands for one user; where a user has several values, their sum and
    their number keep them together, and the mean is the ratio of the two resampled totals.

    Shapes:
        sums: float64, `[n_users, n_columns]`.
        counts: float64, `[n_users, n_columns]`; by default all ones.
        output: float64, twice `[n_columns]`: the 2.5 % and the 97.5 % point.

    Raises:
        ConfigError: `n_draws` is below 1.
    """
    if n_draws < 1:
        raise ConfigError(f"n_draws={n_draws} is below 1; 1000 is a good number")
    counts = np.ones_like(sums) if counts is None else counts
    n_users = len(sums)
    rng = np.random.default_rng(seed)
    means = []
    for n in draw_blocks(n_draws, n_users):
        weight = rng.multinomial(n_users, np.full(n_users, 1 / n_users), size=n).astype(np.float64)
        total = weight @ counts
        # A draw may miss every user of a column; it says nothing about that column.
        means.append((weight @ sums) / np.where(total > 0, total, np.nan))
    lower, upper = np.nanquantile(np.concatenate(means), [0.025, 0.975], axis=0)
    return lower, upper


def draw_blocks(n_draws: int, n_users: int) -> Iterator[int]:
    """Yield numbers of draws that add up to `n_draws`, each small enough for memory."""
    size = max(1, BLOCK // n_users)
    for start in range(0, n_draws, size):
        yield min(size, n_draws - start)
