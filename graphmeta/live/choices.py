"""What was shown, how likely it was to be shown, and what came of it, checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from graphmeta.errors import ConfigError, DataError

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Choices:
    """Logged choices as arrays, a row each.

    Args:
        user: Numbers from 0 that stand for the users.
        reward: What came of the choice.
        propensity: The logging policy's probability of it, above 0 up to 1.
        target: The target policy's probability of it, 0 to 1.
        predicted: The reward that a model predicts for it.
        predicted_target: The mean prediction over what the target policy would show.
        unsupported: The target policy's probability of what the logging policy never shows.

    Shapes:
        user: int64, `[n_rows]`.
        reward and all others: float64, `[n_rows]`, or None.
    """

    user: Array
    reward: Array
    propensity: Array
    target: Array
    predicted: Array | None = None
    predicted_target: Array | None = None
    unsupported: Array | None = None


def read_choices(log: pd.DataFrame, columns: dict[str, str | None], *, user: str) -> Choices:
    """Return the named columns of a log.

    Args:
        log: A row per choice.
        columns: The column of each array of `Choices` but the user's, and of `place`; None for
            those left out.
        user: The column with user ids.

    Raises:
        ConfigError: Only one of the two columns of predictions is named.
        DataError: The log has no row, a column is missing or holds what it cannot hold.
    """
    if (columns["predicted"] is None) != (columns["predicted_target"] is None):
        raise ConfigError(
            "predicted and predicted_target go together: the reward model's value of what was "
            "shown, and its mean over what the target policy would show"
        )
    if not len(log):
        raise DataError("the log has no row; an estimate needs choices that were shown")
    if columns["propensity"] not in log:
        raise DataError(
            f"the log has no column {columns['propensity']!r} of propensities, and without the "
            "probability of what was shown no other policy can be judged by it; log it when "
            "items are shown (SoftmaxPolicy.draw returns it), or run an A/B test"
        )
    found = {name: _numbers(log, column) for name, column in columns.items() if column is not None}
    _refuse_propensities(found["propensity"])
    for name in ("target", "unsupported"):
        _refuse_outside(found.get(name), name)
    if (found.pop("place", np.ones(1)) != 1).any():
        raise DataError(
            "some rows are of a later place than 1, whose propensity is a sum over all orders of "
            "the items before; keep the first places, or make each row a whole list"
        )
    return Choices(_user_numbers(log, user), **found)


def _numbers(log: pd.DataFrame, column: str) -> Array:
    _refuse_missing(log, column)
    try:
        values = log[column].to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise DataError(f"column {column!r} must hold numbers") from error
    bad = ~np.isfinite(values)
    if bad.any():
        raise DataError(
            f"column {column!r} is missing or infinite in {bad.sum()} of {len(log)} rows; drop "
            "those rows only if what is missing does not depend on what was shown"
        )
    return values


def _user_numbers(log: pd.DataFrame, column: str) -> Array:
    _refuse_missing(log, column)
    codes, _ = pd.factorize(log[column])
    if (codes < 0).any():
        raise DataError(f"column {column!r} is missing in some rows; every choice has a user")
    return codes


def _refuse_missing(log: pd.DataFrame, column: str) -> None:
    if column not in log:
        raise DataError(f"the log has no column {column!r}; it has {list(log)}")


def _refuse_propensities(propensity: Array) -> None:
    if (propensity <= 0).any():
        raise DataError(
            f"{(propensity <= 0).sum()} propensities are 0 or below, yet those items were shown; "
            "log the probability that the policy really had"
        )
    if (propensity > 1).any():
        raise DataError(
            f"the largest propensity is {propensity.max():g}, above 1; give probabilities, not "
            "scores, densities or weights"
        )
    if (propensity == 1).all():
        raise DataError(
            "all propensities are 1: a policy without chance shows nothing of what another would "
            "have shown; explore (SoftmaxPolicy), or run an A/B test"
        )


def _refuse_outside(values: Array | None, name: str) -> None:
    if values is not None and ((values < 0) | (values > 1)).any():
        raise DataError(
            f"the {name} column runs from {values.min():g} to {values.max():g}; expected "
            "probabilities from 0 to 1"
        )
