"""The hyperparameters that tuning may try."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

from graphmeta.errors import ConfigError
from graphmeta.ranking.scorer import Scorer


@dataclass(frozen=True)
class Axis:
    """The values of one hyperparameter, and how the grid goes on where an end is best.

    Args:
        values: Distinct values; increasing where the axis extends.
        extend: Beyond an end the grid goes on by the ratio ("geometric") or the step ("linear")
            of its last two values. None: a choice among kinds, or an axis whose ends are natural.
            A geometric axis that begins with 0 ends there by nature.
        low: Nothing below makes sense: the axis ends there by nature.
        high: No extension goes above, because it would cost too much; an optimum there counts as
            an optimum at the edge.
        start: Where the search begins; the middle of `values` where left out.
        needs_times: On a graph without times only `start` is tried, as all values are alike.

    Raises:
        ConfigError: The values are empty, repeat, do not increase or cannot be extended as asked,
            lie outside `low` to `high`, or lack `start`.
    """

    values: Sequence[Any]
    extend: Literal["geometric", "linear"] | None = None
    low: float | None = None
    high: float | None = None
    start: Any = None
    needs_times: bool = False

    def __post_init__(self) -> None:
        values = tuple(self.values)
        if not values or any(v in values[:i] for i, v in enumerate(values)):
            raise ConfigError(f"values={values} must be distinct and at least one; mend the grid")
        if self.extend is not None:
            self._check_extendable(values)
        if self.start is not None and self.start not in values:
            raise ConfigError(f"start={self.start!r} is not among the values {values}; add it")

    def _check_extendable(self, values: tuple[Any, ...]) -> None:
        if self.extend not in ("geometric", "linear"):
            raise ConfigError(f"extend={self.extend!r} must be 'geometric', 'linear' or None")
        if len(values) < 2 or any(a >= b for a, b in pairwise(values)):
            raise ConfigError(f"values={values} must be two or more, increasing, to be extended")
        if self.extend == "geometric" and (values[0] < 0 or values[-2] <= 0):
            raise ConfigError(
                f"values={values} have no ratio to go on by; a geometric axis holds positive "
                "values, and 0 at most before two others"
            )
        low, high = self.low, self.high
        if (low is not None and values[0] < low) or (high is not None and values[-1] > high):
            raise ConfigError(f"values={values} lie outside low={low} to high={high}; mend either")

    @property
    def first(self) -> Any:
        """Where the search begins."""
        return self.values[len(self.values) // 2] if self.start is None else self.start

    def is_natural_end(self, value: Any) -> bool:
        """Whether no grid could go beyond `value`, so that an optimum there is no failure."""
        is_end_of_scale = value == self.low or (self.extend == "geometric" and value == 0)
        return self.extend is None or is_end_of_scale

    def beyond(self, values: Sequence[Any], end: Literal["low", "high"]) -> Any | None:
        """Return the next value beyond an end of `values`, None where there is none.

        An extension that would pass `low` or `high` stops there first. Whole numbers stay whole.
        """
        last, before = (values[0], values[1]) if end == "low" else (values[-1], values[-2])
        if self.is_natural_end(last):
            return None
        if self.extend == "linear":
            # Rounding keeps 0.1 + 0.2 a legible 0.3.
            value: Any = round(2 * last - before, 10)
        else:
            # Next to 0 there is no ratio; the other end has one.
            ratio = last / before if before else values[-2] / values[-1]
            value = float(f"{last * ratio:.10g}")
        if all(isinstance(v, int) for v in values):
            value = round(value)
            if self.extend == "geometric":
                value = max(value, 1)
        if end == "low":
            value = value if self.low is None else max(value, self.low)
            return value if value < last else None
        value = value if self.high is None else min(value, self.high)
        return value if value > last else None


@dataclass(frozen=True)
class SearchSpace:
    """What `tune` may try for one method.

    Args:
        build: Makes an unfitted scorer from the axes' names as keywords, mostly a class.
        fit_time: Axes that need a new fit for each value.
        score_time: Axes that are attributes of a fitted scorer, changed without a new fit.

    Raises:
        ConfigError: An axis is named twice.
    """

    build: Callable[..., Scorer]
    fit_time: Mapping[str, Axis] = field(default_factory=dict)
    score_time: Mapping[str, Axis] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if both := self.fit_time.keys() & self.score_time.keys():
            raise ConfigError(f"{sorted(both)} are fit-time and score-time; choose one of them")

    @property
    def axes(self) -> dict[str, Axis]:
        """All axes, the cheap score-time ones first."""
        return {**self.score_time, **self.fit_time}
