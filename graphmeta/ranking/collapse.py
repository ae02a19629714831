"""Figures that are too alike to be those of different methods or support sizes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from graphmeta.errors import DataError, ProtocolError
from graphmeta.ranking.evaluation import Evaluation

Array = np.ndarray[Any, np.dtype[Any]]
# So many users with something found cannot agree in every figure by chance.
ENOUGH = 10


def check_collapse(
    evaluations: Mapping[str, Evaluation],
    *,
    non_personalised: Collection[str] = (),
    may_agree: Collection[tuple[str, str, int]] = (),
    is_strict: bool = True,
) -> list[str]:
    """Look for methods that are one method, that do not read the support, or have no opinion.

    Findings are:

    - two methods with the same figures for every user at the same k of 1 or more. At k = 0
      personalised methods all serve popularity, so they may agree.
    - one method with the same figures for every user at two k of 1 or more.
    - a method whose best items have one and the same score, for every user.

    Where fewer than ten users have a figure above 0, the rankings must be the same as well:
    little is equal by chance.

    Args:
        evaluations: Each method's evaluation on the same users.
        non_personalised: Methods that do not read the support by design.
        may_agree: Two methods and a k at which they are the same by design, such as a learner
            that has nothing to adapt on at k = 1 and its unadapted encoder.
        is_strict: Stop on a finding; otherwise the caller reads them.

    Returns:
        One line per finding; empty where all is well.

    Raises:
        ProtocolError: There is a finding.
        DataError: The evaluations hold different users.
    """
    tables = {name: _tables(evaluation) for name, evaluation in evaluations.items()}
    findings = [
        f"{name} gives the best items of every user the same score at k={k}; it has no opinion"
        for name, by_k in tables.items()
        for k, table in by_k.items()
        if table.is_flat
    ]
    agreed = {(frozenset(pair), k) for *pair, k in may_agree}
    for one, other in combinations(tables, 2):
        for k in sorted(tables[one].keys() & tables[other].keys() - {0}):
            same = _is_same(tables[one][k], tables[other][k], (one, other))
            if same and (frozenset((one, other)), k) not in agreed:
                findings.append(f"{one} and {other} have the same figures for every user at k={k}")
    for name in (n for n in tables if n not in non_personalised):
        for small, large in combinations(sorted(tables[name].keys() - {0}), 2):
            if _is_same(tables[name][small], tables[name][large], (name, name)):
                findings.append(
                    f"{name} has the same figures for every user at k={small} and k={large}; it "
                    "does not read the support"
                )
    if findings and is_strict:
        raise ProtocolError(f"{len(findings)} figures have collapsed: {'; '.join(findings)}")
    return findings


@dataclass(frozen=True)
class _Table:
    """One method at one support size, users in the order of their ids."""

    users: Array
    figures: Array
    items: Array
    is_flat: bool


def _tables(evaluation: Evaluation) -> dict[int, _Table]:
    rankings = dict(tuple(evaluation.rankings.groupby("k")))
    tables = {}
    for k, group in evaluation.per_user.groupby("k"):
        per_user = group.sort_values("user")
        ranked = rankings[k].sort_values(["user", "rank"])
        score = ranked.groupby("user")["score"]
        tables[int(str(k))] = _Table(
            per_user["user"].to_numpy(),
            per_user.drop(columns=["user", "k"]).to_numpy(dtype=np.float64),
            ranked["item"].to_numpy(),
            bool((score.max() == score.min()).all()) and int(ranked["rank"].max()) > 1,
        )
    return tables


def _is_same(one: _Table, other: _Table, names: tuple[str, str]) -> bool:
    if not np.array_equal(one.users, other.users):
        raise DataError(f"{names[0]} and {names[1]} hold different users; evaluate the same ones")
    if not np.array_equal(one.figures, other.figures):
        return False
    n_found = int((one.figures > 0).any(axis=1).sum())
    return n_found >= ENOUGH or np.array_equal(one.items, other.items)
