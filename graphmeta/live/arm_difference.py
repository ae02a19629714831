"""What an A/B test found, users being the unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import ttest_ind

from graphmeta.errors import ConfigError, DataError

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class ArmDifference:
    """The difference of two arms in one metric.

    Args:
        difference: Mean of the treatment arm less that of the control arm.
        lower: Lower end of the 95 % interval (Welch).
        upper: Its upper end.
        p_value: Two-sided, of no difference.
        control: Mean of the control arm.
        n_control: Users of the control arm.
        n_treatment: Users of the treatment arm.
        is_no_worse: Where a margin was given, whether `lower` lies above its negative: the loss,
            if there is any, is smaller. False says "not shown", not "worse".
    """

    difference: float
    lower: float
    upper: float
    p_value: float
    control: float
    n_control: int
    n_treatment: int
    is_no_worse: bool | None = None


def compare_arms(
    table: pd.DataFrame,
    metric: str,
    *,
    user: str = "user",
    arm: str = "arm",
    control: str = "control",
    treatment: str = "treatment",
    before: str | None = None,
    margin: float | None = None,
) -> ArmDifference:
    """Compare one metric of two arms at the end of a test whose size was fixed before.

    Looked at again and again, its p-value is wrong; `SequentialTest` may be. For a guardrail, a
    metric that must not suffer, give the loss that would be tolerated as `margin`. Metrics of
    which less is better are to be negated.

    Args:
        table: One row per user.
        metric: Column with a number for each user.
        user: Column with user ids.
        arm: Column with arms.
        control: The control arm's name.
        treatment: The treatment arm's name; rows of other arms are left out.
        before: Column with a number for each user that was known before the test, such as the same
            metric a week earlier. What it predicts is taken off (CUPED: Deng et al., "Improving
            the sensitivity of online controlled experiments", 2013), with the slope within arms.
        margin: Loss that would be tolerated, above 0, in the unit of the metric.

    Raises:
        ConfigError: `margin` is not above 0.
        DataError: A column is missing or has gaps, a user has several rows, an arm has fewer than
            two users, or values within arms do not differ.
    """
    if margin is not None and not margin > 0:
        raise ConfigError(f"margin={margin} must be above 0, the loss that would be tolerated")
    columns = [user, arm, metric, *([before] if before is not None else [])]
    for column in columns:
        if column not in table:
            raise DataError(f"the table has no column {column!r}; it has {list(table)}")
    rows = table.loc[table[arm].isin([control, treatment]), columns]
    again = rows[user][rows[user].duplicated()].tolist()
    if again:
        raise DataError(
            f"user {again[0]!r} has several rows; users are the unit, so add up or average each "
            "user's rows first"
        )
    is_treated = (rows[arm] == treatment).to_numpy()
    if min(is_treated.sum(), (~is_treated).sum()) < 2:
        raise DataError(
            f"arms {control!r} and {treatment!r} have {(~is_treated).sum()} and "
            f"{is_treated.sum()} users; each needs two"
        )
    values = _numbers(rows, metric)
    if before is not None:
        values = values - _predicted(values, _numbers(rows, before), is_treated, before)
    if not any(np.ptp(values[part]) for part in (is_treated, ~is_treated)):
        raise DataError(
            f"column {metric!r} is the same for all users of an arm; nothing to compare"
        )
    test = ttest_ind(values[is_treated], values[~is_treated], equal_var=False)
    ends = test.confidence_interval(0.95)
    return ArmDifference(
        difference=float(values[is_treated].mean() - values[~is_treated].mean()),
        lower=float(ends.low),
        upper=float(ends.high),
        p_value=float(test.pvalue),
        control=float(values[~is_treated].mean()),
        n_control=int((~is_treated).sum()),
        n_treatment=int(is_treated.sum()),
        is_no_worse=None if margin is None else bool(ends.low > -margin),
    )


def _numbers(rows: pd.DataFrame, column: str) -> Array:
    values = pd.to_numeric(rows[column], errors="coerce").to_numpy(dtype=np.float64)
    if not bool(np.isfinite(values).all()):
        raise DataError(
            f"column {column!r} must hold a number for every user; who did nothing has a 0"
        )
    return values


def _predicted(values: Array, before: Array, is_treated: Array, name: str) -> Array:
    """Return what `before` predicts of each value, less its mean."""
    within = before.copy()
    for part in (is_treated, ~is_treated):
        within[part] -= before[part].mean()
    if not within.any():
        raise DataError(f"column {name!r} is the same for all users of an arm; leave it out")
    return (within @ values) / (within @ within) * (before - before.mean())
