"""The methods that a run compares, in the order of its table."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from graphmeta.errors import ConfigError
from graphmeta.experiments.cell import plain_rows
from graphmeta.experiments.fine_tuned import FineTuned
from graphmeta.experiments.seed_run import SeedRun
from graphmeta.ranking import Scorer, baselines
from graphmeta.ranking.tuning import Axis, SearchSpace, tune


@dataclass(frozen=True)
class Prepared:
    """A method that is tuned, trained and ready to score test users.

    Args:
        scorer: The fitted method.
        tuning: One entry per support size with what validation users chose; empty where they
            chose nothing.
        losses: Training loss of each epoch; empty where nothing is trained by epochs.
    """

    scorer: Scorer
    tuning: list[dict[str, Any]] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)


class Tunable(Protocol):
    """A baseline class that says what tuning may try."""

    @classmethod
    def search_space(cls) -> SearchSpace:
        """Return what tuning may try."""
        ...


@dataclass(frozen=True)
class Method:
    """One row of the table.

    Args:
        name: What the caller types and the table shows.
        prepare: Tunes and trains on training and validation users.
        is_personalised: False where the ranking does not depend on the support.
        is_baseline: True for methods that the adapted encoder must beat.
        training: Methods with the same name here share one training per split.
        is_default: False for methods that run only where they are named.
    """

    name: str
    prepare: Callable[[SeedRun], Prepared]
    is_personalised: bool = True
    is_baseline: bool = True
    training: str | None = None
    is_default: bool = True


def _baseline(
    name: str, kind: type[Tunable], *, is_personalised: bool = True, is_default: bool = True
) -> Method:
    """Return a baseline that is tuned for each support size on its own."""

    def prepare(run: SeedRun) -> Prepared:
        return _tuned(kind.search_space(), run)

    return Method(name, prepare, is_personalised=is_personalised, is_default=is_default)


def _tuned(space: SearchSpace, run: SeedRun, *, losses: Sequence[float] = ()) -> Prepared:
    tuned = tune(
        small_space(space) if run.settings.quick else space,
        run.train,
        run.validation,
        k=run.k,
        max_users=run.settings.tuning_users,
        seed=run.seed,
    )
    return Prepared(tuned, plain_rows(tuned.report), list(losses))


def small_space(space: SearchSpace) -> SearchSpace:
    """Return the space cut to at most two values of each axis, for a smoke run."""

    def cut(axis: Axis) -> Axis:
        others = [value for value in axis.values if value != axis.first]
        return Axis((axis.first, *others[:1]), start=axis.first)

    return SearchSpace(
        space.build,
        {name: cut(axis) for name, axis in space.fit_time.items()},
        {name: cut(axis) for name, axis in space.score_time.items()},
    )


def _fine_tuned(run: SeedRun) -> Prepared:
    general = run.general
    tuned = _tuned(FineTuned.search_space(general), run, losses=general.losses)
    for row in tuned.tuning:
        row["epoch"] = general.best_epoch
    return tuned


def _unadapted(run: SeedRun) -> Prepared:
    recommender = run.recommender
    chosen = [
        {"k": k, "prior": b.prior, "prior_weight": b.weight, "epoch": recommender.best_epoch}
        for k, b in recommender.blend.items()
        if k in run.k
    ]
    return Prepared(recommender.unadapted(), chosen, list(recommender.losses))


def _adapted(run: SeedRun) -> Prepared:
    recommender = run.recommender
    fewest = recommender.fitted.learner.min_support
    gate = [
        {"k": k, "is_worth_adapting": recommender.is_adapted(k)}
        for k in run.k
        if recommender.gate and k >= fewest
    ]
    return Prepared(recommender.adapted(), gate, list(recommender.losses))


METHODS: tuple[Method, ...] = (
    _baseline("random", baselines.Random, is_personalised=False),
    _baseline("popularity", baselines.Popularity, is_personalised=False),
    _baseline("rank-1-svd", baselines.RankOneSVD, is_personalised=False),
    _baseline("item-knn", baselines.ItemKNN),
    _baseline("user-knn", baselines.UserKNN),
    _baseline("ease", baselines.EASE),
    _baseline("ials", baselines.IALS),
    _baseline("graph-filter", baselines.GraphFilter),
    _baseline("mult-vae", baselines.MultVAE),
    _baseline("light-gcn", baselines.LightGCN),
    _baseline("rm1", baselines.RM1),
    _baseline("few-shot-linear", baselines.FewShotLinear),
    # Published meta-learners: several trainings each.
    _baseline("melu", baselines.MeLU, is_default=False),
    _baseline("tanp", baselines.TaNP, is_default=False),
    _baseline("mamo", baselines.MAMO, is_default=False),
    Method("fine-tuned", _fine_tuned, is_baseline=False, training="general"),
    # These score with one meta-learned recommender per seed, which the seed's run trains once.
    Method("unadapted", _unadapted, is_baseline=False, training="meta"),
    Method("adapted", _adapted, is_baseline=False, training="meta"),
)


def choose_methods(names: Sequence[str] | None) -> tuple[Method, ...]:
    """Return the named methods in the order of the table, the default ones where none is named.

    Raises:
        ConfigError: A name is unknown; the nearest is suggested.
    """
    known = {method.name: method for method in METHODS}
    for name in names or ():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
            raise ConfigError(f"no method named {name!r}; {hint}")
    return tuple(m for m in METHODS if (m.is_default if names is None else m.name in names))
