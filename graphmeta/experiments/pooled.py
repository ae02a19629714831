"""All cells of a run taken together: means over the users of every split."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from graphmeta.experiments.cell import Cell
from graphmeta.ranking.bootstrap import bootstrap_interval

METRICS = ("ndcg@10", "recall@20", "hit_rate@10", "mrr@10")


def pooled_per_user(cells: Sequence[Cell]) -> pd.DataFrame:
    """Return every user's metrics: seed, method, user, k and the metrics."""
    return pd.concat([cell.per_user for cell in cells], ignore_index=True)


def pooled_rankings(cells: Sequence[Cell]) -> pd.DataFrame:
    """Return every user's best items: seed, user, method, k, rank, item and score."""
    return pd.concat([cell.rankings for cell in cells], ignore_index=True)


def summary_table(per_user: pd.DataFrame, *, n_draws: int = 1000, seed: int = 0) -> pd.DataFrame:
    """Return the mean of each metric with its 95 % bootstrap interval.

    A person may be a test user of several splits. The mean is over all of these, the interval
    over persons: a draw takes all of a person's values or none.

    Args:
        per_user: Columns seed, method, user, k and the metrics.
        n_draws: Bootstrap draws.
        seed: Draws the persons; the same draws serve every metric.

    Returns:
        Columns `method`, `k`, `metric`, `mean`, `lower`, `upper`, `n_users` (users ranked,
        counted once per split).
    """
    metrics = list(METRICS)
    tables = []
    for (method, k), group in per_user.groupby(["method", "k"], sort=False):
        by_person = group.groupby("user", sort=True)[metrics]
        sums, counts = by_person.sum().to_numpy(), by_person.count().to_numpy(dtype="float64")
        lower, upper = bootstrap_interval(sums, counts, n_draws=n_draws, seed=seed)
        named = {"method": method, "k": k, "metric": metrics}
        found = {"mean": group[metrics].mean().to_numpy(), "lower": lower, "upper": upper}
        tables.append(pd.DataFrame({**named, **found, "n_users": len(group)}))
    return pd.concat(tables, ignore_index=True)


def catalogue_table(cells: Sequence[Cell]) -> pd.DataFrame:
    """Return the catalogue metrics of each method and k, the mean over splits that have one."""
    rows = [{"method": cell.method, **row} for cell in cells for row in cell.catalogue]
    # A figure that no user has is None in a cell.
    frame = pd.DataFrame(rows).set_index(["method", "k"]).astype("float64")
    return frame.groupby(level=["method", "k"], sort=False).mean().reset_index()


def tuning_table(cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """Return what tuning chose for each split, method and k."""
    return [
        {"seed": cell.seed, "method": cell.method, **row} for cell in cells for row in cell.tuning
    ]


def edge_notes(tuning: Sequence[dict[str, Any]]) -> list[str]:
    """Return a line for each method whose tuning stopped at the edge of a grid."""
    places: dict[tuple[str, str], list[str]] = {}
    for row in tuning:
        if row.get("at_edge"):
            place = f"k={row['k']} seed {row['seed']}"
            places.setdefault((row["method"], row["at_edge"]), []).append(place)
    return [
        f"{method}: the best {axes} is at the edge of its grid ({', '.join(where)})"
        for (method, axes), where in places.items()
    ]


def gate_notes(tuning: Sequence[dict[str, Any]]) -> list[str]:
    """Return a line that says where adapting did not pay, none where it always did."""
    places: dict[int, list[str]] = {}
    for row in tuning:
        if row.get("is_worth_adapting") is False:
            places.setdefault(row["k"], []).append(str(row["seed"]))
    if not places:
        return []
    where = "; ".join(f"k={k}: split seeds {', '.join(seeds)}" for k, seeds in places.items())
    return [
        "the gate falls back to the unadapted encoder where adapting did not surely gain on "
        f"validation users ({where})"
    ]
