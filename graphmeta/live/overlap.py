"""How much of a log speaks about the target policy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
# Fewer effective users are no basis for anything.
FEWEST_USERS = 30
# By chance, a mean weight is so many standard errors from 1 in one log of 15,000.
MOST_ERRORS = 4.0


@dataclass(frozen=True)
class Overlap:
    """How far the shown items are those that the target policy would show.

    A weight is the target policy's probability of a shown item over its propensity.

    Args:
        n_rows: Rows of the log.
        n_users: Users in it.
        effective_rows: `(sum w)^2 / sum w^2` (Kish, 1965; Owen, "Monte Carlo theory, methods and
            examples", 2013, chapter 9): so many choices of the target policy itself would tell as
            much about a mean.
        effective_users: The same over users' sums of weights. What an interval rests on.
        largest_weight: The largest weight.
        largest_share: Its share of all weights.
        mean_weight: Expected to be 1. Less says that the target policy would often show what
            the log hardly holds.
        mean_weight_error: Its standard error over users.
        logged_outside: Share of rows that the target policy would never show.
        target_outside: Mean probability of the target policy to show what the logging policy never
            shows, where that was given; else None.
        clipped: Share of rows whose weight was cut.
    """

    n_rows: int
    n_users: int
    effective_rows: float
    effective_users: float
    largest_weight: float
    largest_share: float
    mean_weight: float
    mean_weight_error: float
    logged_outside: float
    target_outside: float | None
    clipped: float

    @property
    def problem(self) -> str | None:
        """What makes this log a poor basis for estimates, None where nothing does."""
        if self.target_outside:
            return (
                f"{self.target_outside:.1%} of what the target policy shows is never shown by the "
                "logging policy, and nothing is known of it"
            )
        if abs(self.mean_weight - 1) > MOST_ERRORS * self.mean_weight_error + 1e-9:
            return (
                f"the weights average {self.mean_weight:.3g} instead of 1 (standard error "
                f"{self.mean_weight_error:.2g}): either the propensities are not those of the "
                "policy that ran, or the target policy shows what the log hardly holds"
            )
        if self.effective_users < FEWEST_USERS:
            return (
                f"{self.n_users} users are worth only {self.effective_users:.1f} of the target "
                f"policy's own, and at least {FEWEST_USERS} are needed"
            )
        return None


def effective_size(weight: Array) -> float:
    """Return `(sum w)^2 / sum w^2`, 0 where all weights are 0."""
    squares = float((weight**2).sum())
    return float(weight.sum()) ** 2 / squares if squares else 0.0
