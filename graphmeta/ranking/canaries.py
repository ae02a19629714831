"""Scorers whose figures are known in advance, to show that evaluation works."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Self

import pandas as pd
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data.cold_users import ColdUsers, Support
from graphmeta.errors import ProtocolError
from graphmeta.ranking.chance import chance_moments
from graphmeta.ranking.evaluate import evaluate

EXACT = 1e-9
# A correct evaluation fails a single check less often than this.
FALSE_ALARM = 1e-6


def run_canaries(users: ColdUsers, *, k: Sequence[int] = (0, 1), seed: int = 0) -> pd.DataFrame:
    """Evaluate scorers whose figures are known, and stop if a figure is not what it must be.

    - `oracle` puts the query first, but for the user's first items, which ranking must leave
      out. It scores 1.
    - `constant` and `random` score chance, computed exactly by `chance_moments`. Each is
      evaluated with several seeds. The tolerance is Bernstein's: about 5.4 standard errors,
      and more where hits are too rare for the mean to be normal.
    - `scaled` is `random` times 8, a factor that is exact in floating point. It scores, for
      each user, what `random` scores.
    - `reversed` is the oracle turned round: the query comes last. Below chance, exactly known.

    Args:
        users: Users of a split.
        k: Support sizes; no canary reads the support, so all must give the same.
        seed: Draws scores and breaks ties.

    Returns:
        Columns `canary`, `k`, `metric`, `value`, `expected`, `tolerance`; for `scaled`, `value`
        is the largest difference of any user and `expected` is 0.

    Raises:
        ProtocolError: A figure is off: metrics, ranking or batching are broken.
        DataError: There is no user, or one without a query.
        ConfigError: A support size is outside what the split holds.
    """
    row_number = torch.arange(len(users), dtype=torch.float64).unsqueeze(1)
    tagged = replace(users, first=replace(users.first, user_x=row_number))
    rows = list(_exact(tagged, k, seed))
    rows += _scaled(tagged, k, seed)
    rows += _chance(tagged, k, seed)
    table = pd.DataFrame(rows)
    # A missing value fails as well.
    bad = table[~((table["value"] - table["expected"]).abs() <= table["tolerance"])]
    if len(bad):
        lines = [
            f"{r.canary} scores {r.metric} {r.value:.6g} at k={r.k}, not {r.expected:.6g} within "
            f"{r.tolerance:.2g}"
            for r in bad.head(3).itertuples()
        ]
        raise ProtocolError(
            f"the evaluation is broken, trust no figure ({len(bad)} of {len(table)} canary "
            f"figures are off): {'; '.join(lines)}"
        )
    return table


class _Canary:
    """Scores users by their row number, which `run_canaries` puts in `user_x`."""

    def __init__(self, score_rows: Callable[[Tensor], Tensor]) -> None:
        self._score_rows = score_rows

    def fit(self, train: HeteroData) -> Self:
        return self

    def score(self, support: Support) -> Tensor:
        if support.user_x is None:
            raise ProtocolError("evaluation lost the users' features on the way to the scorer")
        return self._score_rows(support.user_x[:, 0].long())


def _oracle(users: ColdUsers, sign: float) -> _Canary:
    def score_rows(rows: Tensor) -> Tensor:
        block = users.select(rows)
        scores = torch.zeros(len(block), len(users.item_ids))
        row = torch.arange(len(block)).repeat_interleave(block.query_ptr.diff())
        scores[row, block.query_index] = sign
        return scores.masked_fill(block.first.to_dense(len(users.item_ids)) > 0, 2 * sign)

    return _Canary(score_rows)


def _random(users: ColdUsers, seed: int, factor: float = 1.0) -> _Canary:
    def score_rows(rows: Tensor) -> Tensor:
        # The first row of a batch names the batch.
        generator = torch.Generator().manual_seed(seed * len(users) + int(rows[0]))
        return factor * torch.rand(len(rows), len(users.item_ids), generator=generator)

    return _Canary(score_rows)


def _constant(users: ColdUsers, seed: int) -> _Canary:
    return _Canary(lambda rows: torch.zeros(len(rows), len(users.item_ids)))


def _figures(table: pd.DataFrame) -> dict[Any, pd.DataFrame]:
    """Return each support size's metrics, one row per user."""
    return {k: group.drop(columns=["user", "k"]) for k, group in table.groupby("k")}


def _exact(users: ColdUsers, k: Sequence[int], seed: int) -> Iterator[dict[str, Any]]:
    """Yield the figures of the oracle and of its reverse."""
    n_query = users.query_ptr.diff()
    n_candidates = len(users.item_ids) - users.first.size
    n_ahead = n_candidates - n_query  # the reverse ranks these before the query
    depth = torch.arange(20).expand(len(users), 20)
    hits = ((depth >= n_ahead.unsqueeze(1)) & (depth < n_candidates.unsqueeze(1))).double()
    discount = 1 / torch.arange(2, 12, dtype=torch.float64).log2()
    ideal = discount.cumsum(0)[n_query.clamp(max=10) - 1]
    last = {
        "ndcg@10": (hits[:, :10] @ discount) / ideal,
        "recall@20": hits.sum(1) / n_query.clamp(max=20),
        "hit_rate@10": hits[:, :10].amax(1),
        "mrr@10": (hits[:, :10] / (depth[:, :10] + 1)).amax(1),
    }
    for canary, sign in (("oracle", 1.0), ("reversed", -1.0)):
        report = evaluate(_oracle(users, sign), users, k=k, seed=seed)
        for size, figures in _figures(report.per_user).items():
            for metric, values in figures.items():
                expected = 1.0 if sign > 0 else float(last[str(metric)].mean())
                row = {"canary": canary, "k": size, "metric": metric, "value": values.mean()}
                yield {**row, "expected": expected, "tolerance": EXACT}


def _scaled(users: ColdUsers, k: Sequence[int], seed: int) -> Iterator[dict[str, Any]]:
    plain = _figures(evaluate(_random(users, seed), users, k=k, seed=seed).per_user)
    scaled = _figures(evaluate(_random(users, seed, 8.0), users, k=k, seed=seed).per_user)
    for size in plain:
        for metric, value in (scaled[size] - plain[size]).abs().max().items():
            row = {"canary": "scaled", "k": size, "metric": metric, "value": value}
            yield {**row, "expected": 0.0, "tolerance": 0.0}


def _chance(users: ColdUsers, k: Sequence[int], seed: int) -> Iterator[dict[str, Any]]:
    """Yield the figures of scorers without an opinion, over enough seeds to be sharp."""
    n_repeats = min(20, max(2, math.ceil(4000 / len(users))))
    moments = chance_moments(users.query_ptr.diff(), len(users.item_ids) - users.first.size)
    for canary, build in (("constant", _constant), ("random", _random)):
        runs = [
            evaluate(build(users, s), users, k=k, seed=s).per_user
            for s in range(seed, seed + n_repeats)
        ]
        for size, figures in _figures(pd.concat(runs)).items():
            for metric, (mean, variance) in moments.items():
                row = {"canary": canary, "k": size, "metric": metric}
                row |= {"value": figures[metric].mean(), "expected": float(mean.mean())}
                yield {**row, "tolerance": _bernstein(n_repeats * variance.sum(), len(figures))}


def _bernstein(variance: Tensor, n: int) -> float:
    """Return how far the mean of n values in 0..1 strays from its expectation, but for alarms.

    `P(|sum - E sum| >= t) <= 2 exp(-t^2 / (2 V + 2 t / 3))` with V the variance of the sum.
    """
    log = math.log(2 / FALSE_ALARM)
    return (log / 3 + math.sqrt(log**2 / 9 + 2 * log * float(variance))) / n + EXACT
