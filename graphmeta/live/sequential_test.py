"""A test of two arms that may be looked at at any time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from graphmeta.errors import ConfigError, DataError

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Look:
    """What a sequential test says so far.

    Args:
        difference: Mean of the treatment arm less that of the control arm.
        lower: Lower end of the always-valid interval.
        upper: Its upper end.
        p_value: The always-valid p-value; the smallest of all looks may be quoted.
    """

    difference: float
    lower: float
    upper: float
    p_value: float


@dataclass(frozen=True)
class SequentialTest:
    """Compares two arms as often as wanted, with one chance of `alpha` for a false alarm in all.

    With the difference d of the arms' means, its estimated variance V and a normal prior
    `N(0, effect ** 2)` of the true one, the mixture of likelihood ratios against no difference is

        L = sqrt(V / (V + effect^2)) exp(d^2 effect^2 / (2 V (V + effect^2)))

    Without a difference L is a martingale in the limit of many users, so that it ever exceeds
    1 / alpha with probability at most alpha (Robbins, 1970). `p = 1 / L`, and the interval holds
    all differences that are not rejected (Johari et al., "Always valid inference", 2022; with the
    variance estimated, Waudby-Smith et al., "Time-uniform central limit theory", 2024).

    A user counts once, when all of the user's value is known (after a week, say): values that
    still grow are no independent draws.

    Args:
        effect: Above 0: the size of the differences that matter, in the unit of the metric. It sets
            where the test is sharpest, not whether it is valid.
        alpha: Chance of a false alarm, between 0 and 1.
        min_users: Users per arm before it says anything; before, variances are not known well
            enough. At least 2.

    Raises:
        ConfigError: A number is out of its range.
    """

    effect: float
    alpha: float = 0.05
    min_users: int = 100

    def __post_init__(self) -> None:
        if not 0 < self.effect < float("inf"):
            raise ConfigError(f"effect={self.effect} must be above 0 and finite")
        if not 0 < self.alpha < 1:
            raise ConfigError(f"alpha={self.alpha} must be between 0 and 1")
        if self.min_users < 2:
            raise ConfigError(f"min_users={self.min_users} is below 2; a variance needs 2")

    def look(self, control: Any, treatment: Any) -> Look:
        """Return what the users so far say.

        Args:
            control: A number for each user of the control arm so far.
            treatment: A number for each user of the treatment arm so far.

        Raises:
            DataError: A number is missing or infinite.
        """
        arms = [np.asarray(arm, dtype=np.float64).ravel() for arm in (control, treatment)]
        for arm in arms:
            if not bool(np.isfinite(arm).all()):
                raise DataError(
                    "a user's value is missing or infinite; count the users who have one"
                )
        if min(map(len, arms)) < self.min_users:
            means = [float(arm.mean()) if len(arm) else np.nan for arm in arms]
            return Look(means[1] - means[0], -np.inf, np.inf, 1.0)
        difference = arms[1].mean() - arms[0].mean()
        variance = sum(arm.var(ddof=1) / len(arm) for arm in arms)
        reach, p_value = self.bounds(difference, variance)
        return Look(
            float(difference), float(difference - reach), float(difference + reach), float(p_value)
        )

    def bounds(self, difference: Any, variance: Any) -> tuple[Array, Array]:
        """Return half the width of the interval, and the p-value.

        Args:
            difference: Of the means; a number or an array.
            variance: Of that difference, 0 or more; nothing is known at 0.

        Shapes:
            output: float64, twice the shape of the input.
        """
        d, v = np.asarray(difference, np.float64), np.asarray(variance, np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            spread = v + self.effect**2
            log_ratio = np.log(v / spread) / 2 + (d * self.effect) ** 2 / (2 * v * spread)
            square = v * spread / self.effect**2 * (np.log(spread / v) - 2 * np.log(self.alpha))
        known = v > 0
        reach = np.where(known, np.sqrt(square), np.inf)
        return reach, np.where(known, np.minimum(1.0, np.exp(-log_ratio)), 1.0)
