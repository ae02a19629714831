"""Choosing hyperparameters on validation users, for each support size on its own."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Self

import pandas as pd
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data.bipartite_graph import FORWARD
from graphmeta.data.cold_users import ColdUsers, Support
from graphmeta.errors import ConfigError, DataError
from graphmeta.ranking.metrics import ranking_metrics
from graphmeta.ranking.query_hits import query_hits
from graphmeta.ranking.scorer import Scorer
from graphmeta.ranking.search_space import Axis, SearchSpace

__all__ = ["Axis", "SearchSpace", "TunedScorer", "search", "tune"]

# A grid grows by at most this many values, for each k.
MAX_EXTENSIONS = 16
ROUNDS = 2
BATCH_SIZE = 512

Choice = dict[str, Any]
# The quality of a fitted scorer at a support size.
Judge = Callable[[Scorer, int], float]


class TunedScorer:
    """A method with its own best hyperparameters for each support size.

    Args:
        by_k: A fitted scorer for each tuned support size.
        report: One row for each of them: `k`, the chosen values, the validation metric,
            `n_tried` and `at_edge`.
    """

    def __init__(self, by_k: Mapping[int, Scorer], report: pd.DataFrame) -> None:
        self.by_k = dict(by_k)
        self.report = report

    def fit(self, train: HeteroData) -> Self:
        """Fit the chosen configurations to another training graph; nothing is tuned again."""
        refitted: dict[int, Scorer] = {}
        for scorer in self.by_k.values():
            if id(scorer) not in refitted:
                refitted[id(scorer)] = copy.copy(scorer).fit(train)
        self.by_k = {k: refitted[id(scorer)] for k, scorer in self.by_k.items()}
        return self

    def score(self, support: Support) -> Tensor:
        """Score with the configuration of `k = support.item_index.size(1)`, or the nearest tuned.

        Shapes:
            output: float32, `[n_users, n_items]`.
        """
        k = support.item_index.size(1)
        return self.by_k[min(self.by_k, key=lambda tuned: (abs(tuned - k), tuned))].score(support)


def tune(
    space: SearchSpace,
    train: HeteroData,
    validation: ColdUsers,
    *,
    k: Sequence[int] = (0, 1, 3, 5, 10),
    metric: str = "ndcg@10",
    max_users: int = 1000,
    seed: int = 0,
) -> TunedScorer:
    """Search the space for the best configuration of each support size.

    A coordinate search: one axis after the other, each value tried with the others held at
    the best found so far; then a second round that climbs from there. The full product of the
    grids would cost the power of it, and these objectives are smooth enough that it finds little
    more. Where an end of an axis is best, the axis is extended until the optimum lies inside.
    Each k walks its own way; a fit is made once and shared by all k that ask for it. Each method
    gets the same rounds and extensions, and the report counts what was tried.

    `k = 0` walks along: it is scored once for each fit that another k asks for, because
    score-time values rarely matter to a user who has shown nothing.

    Args:
        space: What to try.
        train: The training graph.
        validation: Users to choose on. A fixed random part of them where there are more than
            `max_users`.
        k: Support sizes.
        metric: A metric of `ranking_metrics`.
        max_users: Most validation users to score.
        seed: Picks the users and breaks ties.

    Raises:
        ConfigError: `k` is empty, repeats or exceeds what the split holds, or `metric` is unknown,
            or `max_users` is below 1.
        DataError: There is no validation user.
        NonFiniteError: A scorer returns NaN or infinity.
    """
    sizes = tuple(k)
    if not sizes or len(set(sizes)) < len(sizes):
        raise ConfigError(f"k={sizes} must name each support size once, and at least one")
    if max_users < 1:
        raise ConfigError(f"max_users={max_users} must be at least 1; raise it")
    judge = _ValidationMetric(validation, metric, max_users, seed)
    for size in sizes:
        validation.support(size)
    return search(space, train, judge, k=sizes, metric=metric)


def search(
    space: SearchSpace, train: HeteroData, judge: Judge, *, k: Sequence[int], metric: str
) -> TunedScorer:
    """Search as `tune` does, by any measure of quality.

    Args:
        space: What to try.
        train: The training graph.
        judge: Returns the quality of a fitted scorer at a support size; more is better.
        k: Support sizes, each once.
        metric: What the report calls the quality.
    """
    found = _Search(space, train, judge, tuple(k))
    found.run()
    return TunedScorer(found.best_scorers(), found.report(metric))


class _ValidationMetric:
    """The mean metric of a fitted scorer on the validation users."""

    def __init__(self, users: ColdUsers, metric: str, max_users: int, seed: int) -> None:
        if not len(users):
            raise DataError("there is no validation user to tune on; add users or a split seed")
        known = ranking_metrics(torch.ones(1, 1, dtype=torch.bool), torch.ones(1).long())
        if metric not in known:
            raise ConfigError(f"metric={metric!r} is unknown; choose one of {sorted(known)}")
        if len(users) > max_users:
            drawn = torch.randperm(len(users), generator=torch.Generator().manual_seed(seed))
            users = users.select(drawn[:max_users].sort().values)
        self._users, self._metric, self._seed = users, metric, seed
        self._n_best = 20 if metric == "recall@20" else 10

    def __call__(self, scorer: Scorer, size: int) -> float:
        generator = torch.Generator().manual_seed(self._seed)
        total = 0.0
        for _, block in self._users.batches(BATCH_SIZE):
            scores = scorer.score(block.support(size)).detach().cpu()
            hits = query_hits(scores, block, n_best=self._n_best, generator=generator)[1]
            total += float(ranking_metrics(hits, block.query_ptr.diff())[self._metric].sum())
        return total / len(self._users)


class _Search:
    """The state of one coordinate search: each k's best choice, its grid and what was tried."""

    def __init__(
        self, space: SearchSpace, train: HeteroData, judge: Judge, sizes: tuple[int, ...]
    ) -> None:
        self._space, self._train, self._judge = space, train, judge
        start = {name: axis.first for name, axis in space.axes.items()}
        self._best: dict[int, Choice] = {size: dict(start) for size in sizes}
        is_timed = "time" in train[FORWARD]
        self._grid = {
            size: {
                name: list(axis.values) if is_timed or not axis.needs_times else [axis.first]
                for name, axis in space.axes.items()
            }
            for size in sizes
        }
        self._value: dict[int, dict[tuple[Any, ...], float]] = {size: {} for size in sizes}
        self._fitted: dict[tuple[Any, ...], Scorer] = {}
        # k = 0 walks along where another k leads.
        self._leading = [size for size in sizes if size > 0] or list(sizes)

    def run(self) -> None:
        """Search; afterwards each k's best choice has its fit at hand."""
        self._try([(size, self._best[size]) for size in self._leading])
        for is_first in [True] + [False] * (ROUNDS - 1):
            for name in self._space.axes:
                self._scan(name, is_whole=is_first)

    def _scan(self, name: str, *, is_whole: bool) -> None:
        """Climb along one axis for every k, in the first round after a look at all its values."""
        wanted = [
            (size, {**self._best[size], name: value})
            for size in self._leading
            for value in self._grid[size][name]
            if is_whole or self._space.axes[name].extend is None
        ]
        self._try(wanted)
        while wanted := [
            (size, choice) for size in self._leading for choice in self._neighbours(size, name)
        ]:
            self._try(wanted)

    def _neighbours(self, size: int, name: str) -> list[Choice]:
        """Return the untried choices next to this k's best, extending its grid at an end."""
        axis, grid, best = self._space.axes[name], self._grid[size][name], self._best[size]
        if axis.extend is None:
            return []
        added = len(grid) - len(axis.values)
        if best[name] == grid[-1] and added < MAX_EXTENSIONS:
            if (value := axis.beyond(grid, "high")) is not None:
                grid.append(value)
        elif best[name] == grid[0] and added < MAX_EXTENSIONS:  # noqa: SIM102 - as above
            if (value := axis.beyond(grid, "low")) is not None:
                grid.insert(0, value)
        place = grid.index(best[name])
        choices = [{**best, name: value} for value in grid[max(0, place - 1) : place + 2]]
        return [choice for choice in choices if self._key(choice) not in self._value[size]]

    def _try(self, wanted: Iterable[tuple[int, Choice]]) -> None:
        """Score choices not yet scored; a fit serves all k that ask for it and is then dropped."""
        by_fit: dict[tuple[Any, ...], list[tuple[int, Choice]]] = {}
        for size, choice in wanted:
            if self._key(choice) not in self._value[size]:
                by_fit.setdefault(self._fit_key(choice), []).append((size, choice))
        for fit_key, choices in by_fit.items():
            if fit_key not in self._fitted:
                self._fitted[fit_key] = self._space.build(**choices[0][1]).fit(self._train)
                follower = [0] if 0 in self._best and 0 not in self._leading else []
                choices = choices + [(size, choices[0][1]) for size in follower]
            for size, choice in choices:
                value = self._judge(self._scorer(choice), size)
                tried = self._value[size]
                is_best = not tried or value > max(tried.values())
                tried[self._key(choice)] = value
                if is_best:
                    self._best[size] = dict(choice)
            self._forget()

    def _forget(self) -> None:
        """Keep the fits that some k has chosen, no others."""
        kept = {self._fit_key(choice) for choice in self._best.values()}
        self._fitted = {key: fit for key, fit in self._fitted.items() if key in kept}

    def _scorer(self, choice: Choice) -> Scorer:
        scorer = copy.copy(self._fitted[self._fit_key(choice)])
        for name in self._space.score_time:
            setattr(scorer, name, choice[name])
        return scorer

    def _key(self, choice: Choice) -> tuple[Any, ...]:
        return tuple(choice[name] for name in self._space.axes)

    def _fit_key(self, choice: Choice) -> tuple[Any, ...]:
        return tuple(choice[name] for name in self._space.fit_time)

    def best_scorers(self) -> dict[int, Scorer]:
        """Return each k's best scorer; those with equal choices are one object."""
        made: dict[tuple[Any, ...], Scorer] = {}
        for choice in self._best.values():
            made.setdefault(self._key(choice), self._scorer(choice))
        return {size: made[self._key(choice)] for size, choice in self._best.items()}

    def report(self, metric: str) -> pd.DataFrame:
        """Return one row for each k."""
        rows = [
            {
                "k": size,
                **choice,
                metric: max(self._value[size].values()),
                "n_tried": len(self._value[size]),
                "at_edge": ", ".join(self._edges(size)) if size in self._leading else "",
            }
            for size, choice in self._best.items()
        ]
        return pd.DataFrame(rows)

    def _edges(self, size: int) -> list[str]:
        """Name the axes whose best value lies at an end of the grid that is not natural."""
        return [
            name
            for name, axis in self._space.axes.items()
            if self._best[size][name] in (self._grid[size][name][0], self._grid[size][name][-1])
            and not axis.is_natural_end(self._best[size][name])
        ]
