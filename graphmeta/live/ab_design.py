"""How many users an A/B test needs, and what it can see."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.stats import chi2, norm, t

from graphmeta.errors import ConfigError, MissingExtraError


@dataclass(frozen=True)
class ABDesign:
    """Sizes of an A/B test of two arms whose unit is the user.

    Metrics have one value per user (clicks, a share, whether there was any), so that a user's many
    sessions count once. Tests are two-sided; statsmodels computes their power.

    Args:
        power: Chance to see an effect of the given size, above `alpha` and below 1.
        alpha: Chance to see one where there is none, above 0.
        treated: Share of users in the treatment arm, above 0 and below 1.

    Raises:
        ConfigError: A number is out of its range.
        MissingExtraError: statsmodels is not installed.
    """

    power: float = 0.8
    alpha: float = 0.05
    treated: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.alpha < self.power < 1:
            raise ConfigError(
                f"alpha={self.alpha} and power={self.power} must be 0 < alpha < power < 1"
            )
        if not 0 < self.treated < 1:
            raise ConfigError(f"treated={self.treated} must be a share between 0 and 1")
        try:
            import statsmodels  # noqa: F401
        except ImportError as error:
            raise MissingExtraError(
                "designing an A/B test needs statsmodels; pip install 'graphmeta[live]'"
            ) from error

    def users_for_mean(self, effect: float, *, sd: float, correlation: float = 0.0) -> int:
        """Return how many users, both arms together, show a difference of means.

        Args:
            effect: The difference to be seen, above 0, in the unit of `sd`.
            sd: Standard deviation between users.
            correlation: Of users' values with those that `compare_arms` takes as `before`. They
                take its square off the variance, and so off the users.

        Raises:
            ConfigError: A number is out of its range.
        """
        standardized = _positive("effect", effect) / _left(sd, correlation)
        return self._fewest(lambda n: self._mean_power(standardized, n))

    def effect_for_mean(self, n_users: int, *, sd: float, correlation: float = 0.0) -> float:
        """Return the smallest difference of means that so many users show.

        Args:
            n_users: Users of both arms together.
            sd: As in `users_for_mean`.
            correlation: As in `users_for_mean`.

        Raises:
            ConfigError: A number is out of its range.
        """
        self._refuse_few(n_users)
        most = n_users**-0.5  # In standard deviations.
        while self._mean_power(most, n_users) < self.power:
            most *= 2
        found = brentq(lambda d: self._mean_power(d, n_users) - self.power, 0, most)
        return float(found) * _left(sd, correlation)

    def users_for_guardrail(self, margin: float, *, sd: float, correlation: float = 0.0) -> int:
        """Return how many users show that a metric fell by less than `margin`, if it is unchanged.

        Args:
            margin: The loss that would be tolerated, above 0, in the unit of `sd`;
                `compare_arms` takes it too.
            sd: As in `users_for_mean`.
            correlation: As in `users_for_mean`.

        Raises:
            ConfigError: A number is out of its range.
        """
        # An interval that lies above the margin is a one-sided test at half of alpha.
        standardized = _positive("margin", margin) / _left(sd, correlation)
        return self._fewest(lambda n: self._mean_power(standardized, n, is_one_sided=True))

    def users_for_rate(self, effect: float, *, rate: float) -> int:
        """Return how many users, both arms together, show a difference of two shares of users.

        Args:
            effect: The difference to be seen, .01 for one point; below 0 for a fall.
            rate: The share of users in the control arm.

        Raises:
            ConfigError: A share is not between 0 and 1.
        """
        if not (0 < rate < 1 and 0 < rate + effect < 1 and effect):
            raise ConfigError(
                f"rate={rate} and rate + effect={rate + effect:g} must be two shares between 0 "
                "and 1"
            )
        return self._fewest(lambda n: self._rate_power(effect, rate, n))

    def effect_for_rate(self, n_users: int, *, rate: float) -> float:
        """Return the smallest rise of a share of users that so many users show.

        Args:
            n_users: Users of both arms together.
            rate: The share of users in the control arm.

        Raises:
            ConfigError: A number is out of its range, or no rise would show.
        """
        if not 0 < rate < 1:
            raise ConfigError(f"rate={rate} must be a share between 0 and 1")
        self._refuse_few(n_users)
        most = (1 - rate) * (1 - 1e-9)
        if self._rate_power(most, rate, n_users) < self.power:
            raise ConfigError(f"n_users={n_users} show no rise from {rate}; take more users")
        least = 1e-9 * most
        return float(brentq(lambda d: self._rate_power(d, rate, n_users) - self.power, least, most))

    def _mean_power(self, standardized: float, n: float, *, is_one_sided: bool = False) -> float:
        from statsmodels.stats.power import TTestIndPower

        alpha = self.alpha / 2 if is_one_sided else self.alpha
        found = float(
            TTestIndPower().power(
                standardized,
                n * (1 - self.treated),
                alpha,
                ratio=self.treated / (1 - self.treated),
                alternative="larger" if is_one_sided else "two-sided",
            )
        )
        if not math.isnan(found):
            return found
        effect = standardized * math.sqrt(n * self.treated * (1 - self.treated))
        return _t_power(effect, n - 2, alpha if is_one_sided else alpha / 2)

    def _rate_power(self, effect: float, rate: float, n: float) -> float:
        from statsmodels.stats.proportion import power_proportions_2indep

        # Its first sample is ours with the effect, its ratio that of the second to the first.
        return float(
            power_proportions_2indep(
                effect,
                rate,
                n * self.treated,
                ratio=(1 - self.treated) / self.treated,
                alpha=self.alpha,
                return_results=False,
            )
        )

    def _fewest(self, power_of: Callable[[int], float]) -> int:
        """Return the least number of users with enough power, which grows with it."""
        low = most = math.ceil(2 / min(self.treated, 1 - self.treated))
        while power_of(most) < self.power:
            low, most = most, 2 * most
        while low < most:
            middle = (low + most) // 2
            if power_of(middle) < self.power:
                low = middle + 1
            else:
                most = middle
        return most

    def _refuse_few(self, n_users: int) -> None:
        fewest = math.ceil(2 / min(self.treated, 1 - self.treated))
        if n_users < fewest:
            raise ConfigError(
                f"n_users={n_users} leaves an arm with under 2; take {fewest} or more"
            )


def _t_power(effect: float, n_free: float, tail: float) -> float:
    """Return the power of a t-test, to 1e-4, where the library's non-central t is NaN.

    It is the mean of a normal test's power over what the standard deviation is estimated as. The
    other side's tail is left out: it is NaN for effects that are far from 0 alone.

    Args:
        effect: The effect in standard errors.
        n_free: Degrees of freedom.
        tail: The level on the side of the effect.
    """
    estimated = np.sqrt(chi2.ppf((np.arange(10_000) + 0.5) / 10_000, n_free) / n_free)
    return float(norm.cdf(effect - t.isf(tail, n_free) * estimated).mean())


def _positive(name: str, value: float) -> float:
    if not 0 < value < math.inf:
        raise ConfigError(f"{name}={value} must be above 0 and finite")
    return value


def _left(sd: float, correlation: float) -> float:
    """Return the standard deviation that is left where the correlated part is known."""
    if not -1 < correlation < 1:
        raise ConfigError(f"correlation={correlation} must be between -1 and 1")
    return _positive("sd", sd) * math.sqrt(1 - correlation**2)
