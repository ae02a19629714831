"""What an evaluation found: per user, per ranking and for the catalogue."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from graphmeta.ranking.bootstrap import bootstrap_interval


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The result of ranking the whole catalogue for held-out users at several support sizes.

    Args:
        per_user: One row per user and support size: `user`, `k` and the user's metrics.
        rankings: The best 20 items of each user and support size: `user`, `k`, `rank` from 1,
            `item`, `score`; users and items by the caller's ids.
        catalogue: One row per support size: `k` and what the top 10 do to the catalogue, see
            `catalogue_metrics`, and how it serves little known items and users who like them,
            see `tail_metrics`.
    """

    per_user: pd.DataFrame
    rankings: pd.DataFrame
    catalogue: pd.DataFrame

    def summary(self, *, n_draws: int = 1000, seed: int = 0) -> pd.DataFrame:
        """Return the mean of each metric with its 95 % bootstrap interval over users.

        Args:
            n_draws: Bootstrap draws.
            seed: Draws the users; the same draws serve every metric and support size.

        Returns:
            Columns `k`, `metric`, `mean`, `lower`, `upper`, `n_users`.

        Raises:
            ConfigError: `n_draws` is below 1.
        """
        tables = []
        for k, group in self.per_user.groupby("k", sort=True):
            values = group.drop(columns=["user", "k"])
            figures = values.to_numpy(dtype="float64")
            lower, upper = bootstrap_interval(figures, n_draws=n_draws, seed=seed)
            table = {"k": k, "metric": values.columns, "mean": figures.mean(axis=0)}
            table |= {"lower": lower, "upper": upper, "n_users": len(values)}
            tables.append(pd.DataFrame(table))
        return pd.concat(tables, ignore_index=True)
