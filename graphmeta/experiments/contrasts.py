"""The comparisons that a run is about: what adapting adds, and whether it beats the baselines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from graphmeta.experiments.methods import Method
from graphmeta.ranking.significance import compare_paired, holm

SHOWN = "ndcg@10"
MIN_SPLITS = 3  # Of a claim; the protocol asks for them.


def contrasts(per_user: pd.DataFrame, methods: Sequence[Method]) -> list[dict[str, Any]]:
    """Return paired comparisons of the adapted encoder, one entry per comparison and k.

    It is compared with the same encoder unadapted, with plain fine-tuning, with popularity, and
    at each k with the baseline that is best at that k *on these very users*, the hardest choice.
    Each is there where the run has the methods. The p-values are Holm-corrected over the
    support sizes.

    Args:
        per_user: Columns seed, method, user, k and the metrics.
        methods: The methods of the run.

    Returns:
        Entries with `name`, `k`, `against`, `difference`, `lower`, `upper`, `p_value`, `p_holm`,
        `helped`, `harmed` and `n_users`.
    """
    names = [method.name for method in methods]
    if "adapted" not in names:
        return []
    rows = []
    sizes = sorted(per_user["k"].unique())
    for other in ("unadapted", "fine-tuned", "popularity"):
        if other in names:
            rows += _compared(per_user, dict.fromkeys(sizes, other), f"adapted - {other}")
    baselines = [method.name for method in methods if method.is_baseline]
    if baselines:
        best = best_of(per_user, baselines)
        rows += _compared(per_user, best, "adapted - best baseline")
    return rows


def best_of(per_user: pd.DataFrame, names: Sequence[str]) -> dict[int, str]:
    """Return the method with the highest mean at each k, the first named of equals."""
    mean = per_user.groupby(["k", "method"])[SHOWN].mean().unstack()[list(names)]
    best = mean.idxmax(axis=1)
    return dict(zip(map(int, best.index), map(str, best), strict=True))


def _compared(per_user: pd.DataFrame, against: dict[int, str], name: str) -> list[dict[str, Any]]:
    adapted = per_user[per_user["method"] == "adapted"]
    wanted = per_user["k"].map(against)
    table = compare_paired(adapted, per_user[per_user["method"] == wanted], metric=SHOWN)
    table["p_holm"] = holm(table["p_value"])
    rows: list[dict[str, Any]] = []
    for row in table.to_dict(orient="records"):
        k = int(row.pop("k"))
        numbers = {str(key): float(value) for key, value in row.items()}
        numbers["n_users"] = int(numbers["n_users"])
        rows.append({"name": name, "k": k, "against": against[k], **numbers})
    return rows
