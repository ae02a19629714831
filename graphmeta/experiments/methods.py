"""The methods that a run compares, in the order of its table."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphmeta.errors import ConfigError
from graphmeta.experiments.seed_run import SeedRun
from graphmeta.ranking import Scorer


@dataclass(frozen=True)
class Prepared:
    """A method that is tuned, trained and ready to score test users.

    Args:
        scorer: The fitted method.
        tuning: One entry per support size with the chosen values; empty where nothing is tuned.
        losses: Training loss of each epoch; empty where nothing is trained by epochs.
    """

    scorer: Scorer
    tuning: list[dict[str, Any]] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Method:
    """One row of the table.

    Args:
        name: What the caller types and the table shows.
        prepare: Tunes and trains on training and validation users.
        is_personalised: False where the ranking does not depend on the support.
        is_baseline: True for methods that the adapted encoder must beat.
    """

    name: str
    prepare: Callable[[SeedRun], Prepared]
    is_personalised: bool = True
    is_baseline: bool = True


def _unadapted(run: SeedRun) -> Prepared:
    import copy

    shared = copy.copy(run.recommender)
    shared.is_adapted = False
    return Prepared(shared, losses=list(shared.losses))


def _adapted(run: SeedRun) -> Prepared:
    return Prepared(run.recommender, losses=list(run.recommender.losses))


METHODS: tuple[Method, ...] = (
    Method("unadapted", _unadapted, is_baseline=False),
    Method("adapted", _adapted, is_baseline=False),
)


def choose_methods(names: Sequence[str] | None) -> tuple[Method, ...]:
    """Return the named methods in the order of the table, all where none is named.

    Raises:
        ConfigError: A name is unknown; the nearest is suggested.
    """
    known = {method.name: method for method in METHODS}
    for name in names or ():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
            raise ConfigError(f"no method named {name!r}; {hint}")
    return tuple(method for method in METHODS if names is None or method.name in names)
