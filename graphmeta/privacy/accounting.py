"""How much noise a privacy budget asks for, and what was spent, by the accountant of Opacus."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from graphmeta.errors import ConfigError, MissingExtraError

# Noise found by bisection spends between this share of the budget and all of it.
TIGHT = 0.995
MOST_NOISE = 1e4


class Release(NamedTuple):
    """Sums over users to which Gaussian noise was added before anybody saw them.

    `noise` is its standard deviation as a multiple of the most that one user changes a sum by,
    `sampling_rate` the chance of each user to be in a sum, `n_times` the number of such sums.
    """

    noise: float
    sampling_rate: float = 1.0
    n_times: int = 1


def epsilon_of(releases: Sequence[Release], delta: float) -> float:
    """Return the epsilon of all releases together, for users who are added or removed.

    By the PRV accountant of Opacus (Gopi, Lee and Wutschitz, NeurIPS 2021), which composes
    privacy loss distributions numerically; what it returns is an upper bound.

    Args:
        releases: What was released.
        delta: The chance, above 0, with which the bound may fail.

    Raises:
        ConfigError: `delta` is not between 0 and 1.
        MissingExtraError: Opacus is not installed.
    """
    if not 0 < delta < 1:
        raise ConfigError(f"delta={delta} must be above 0 and below 1; well below 1 / users")
    if any(not release.noise for release in releases):
        return math.inf
    if not releases:
        return 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Of its imports, and of logarithms of 0 that it expects.
        try:
            from opacus.accountants import PRVAccountant
        except ImportError as error:
            raise MissingExtraError(
                "private training needs opacus; pip install 'graphmeta[privacy]'"
            ) from error
        accountant = PRVAccountant()
        accountant.history = [tuple(release) for release in releases]
        return float(accountant.get_epsilon(delta=delta))


def noise_for(
    epsilon: float,
    delta: float,
    *,
    sampling_rate: float = 1.0,
    n_times: int = 1,
    before: Sequence[Release] = (),
) -> float:
    """Return the least noise with which further releases stay within a budget.

    Args:
        epsilon: The budget of all releases; infinite for no noise.
        delta: As in `epsilon_of`.
        sampling_rate: The chance of each user to be in a sum, above 0 and up to 1.
        n_times: Number of sums.
        before: What has been released already.

    Raises:
        ConfigError: A number is out of its range, or nothing is left of the budget.
        MissingExtraError: Opacus is not installed.
    """
    if not epsilon > 0:
        raise ConfigError(f"epsilon={epsilon} must be above 0")
    if not 0 < sampling_rate <= 1 or n_times < 1:
        raise ConfigError(
            f"sampling_rate={sampling_rate} must be above 0 and at most 1, n_times={n_times} at "
            "least 1"
        )
    if math.isinf(epsilon):
        return 0.0
    if before and epsilon_of(before, delta) >= epsilon:
        raise ConfigError(f"earlier releases leave nothing of epsilon={epsilon}; raise it")

    return _least(epsilon, delta, sampling_rate, n_times, tuple(before))


@lru_cache
def _least(
    epsilon: float, delta: float, sampling_rate: float, n_times: int, before: tuple[Release, ...]
) -> float:
    """Return the least noise that spends no more, to half a per cent of the budget."""

    def spent(noise: float) -> float:
        return epsilon_of([*before, Release(noise, sampling_rate, n_times)], delta)

    low, high = 0.0, 1.0
    while (found := spent(high)) > epsilon:
        low, high = high, 2 * high
        if high > MOST_NOISE:
            raise ConfigError(f"no noise below {MOST_NOISE:g} is enough for epsilon={epsilon}")
    while found < TIGHT * epsilon and high - low > 1e-4 * high:
        middle = (low + high) / 2
        at_middle = spent(middle)
        low, high, found = (
            (low, middle, at_middle) if at_middle <= epsilon else (middle, high, found)
        )
    return high
