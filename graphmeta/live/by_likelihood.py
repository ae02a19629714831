"""The value of a target policy by empirical likelihood over users."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphmeta.errors import ConfigError, DataError
from graphmeta.live.choices import Choices
from graphmeta.live.likelihood_interval import likelihood_interval

Array = np.ndarray[Any, np.dtype[Any]]


def by_likelihood(
    choices: Choices, weight: Array, largest: float, reward_range: tuple[float, float]
) -> list[float]:
    """Return the estimate, its interval, the gain and its interval.

    Each user counts as the mean number of rows, so that a user's rows move together.

    Args:
        choices: The log.
        weight: The weight of each row.
        largest: The largest that there can be.
        reward_range: The least and the largest reward that there can be.

    Raises:
        ConfigError: `largest` is below a weight in the log.
        DataError: A reward is outside its range.
    """
    least, most = reward_range
    if not least <= choices.reward.min() <= choices.reward.max() <= most or least == most:
        raise DataError(
            f"rewards run from {choices.reward.min():g} to {choices.reward.max():g}, outside "
            f"reward_range={reward_range}; give the range that there can be, or None for no el"
        )
    if largest < weight.max():
        raise ConfigError(
            f"largest_weight={largest:g} is below the {weight.max():g} in the log; give a bound"
        )
    rows = np.bincount(choices.user)
    reward = (choices.reward - least) / (most - least)

    def by_user(values: Array) -> Array:
        return np.bincount(choices.user, values) / rows.mean()

    unit = float(rows.max() / rows.mean())
    # The bound must exceed 1, which a log of the target policy itself does not.
    bound = max(largest, 1.001) * unit
    value = likelihood_interval(
        by_user(weight),
        by_user(weight * reward),
        largest=bound,
        at_zero=(0.0, 0.0),
        at_largest=(0.0, bound),
    )
    gain = likelihood_interval(
        by_user(weight),
        by_user((weight - 1) * reward),
        largest=bound,
        at_zero=(-unit, 0.0),
        at_largest=(0.0, bound - unit),
    )
    return [*(least + (most - least) * v for v in value), *((most - least) * g for g in gain)]
