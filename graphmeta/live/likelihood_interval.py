"""An interval that makes room for the heavy weights that a log happens not to hold."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import minimize, minimize_scalar
from scipy.stats import chi2

from graphmeta.errors import NonFiniteError

Array = np.ndarray[Any, np.dtype[Any]]
Ends = tuple[float, float]


def likelihood_interval(
    weight: Array, earned: Array, *, largest: float, at_zero: Ends, at_largest: Ends
) -> tuple[float, float, float]:
    """Return the empirical likelihood estimate of the mean of `earned`, and its 95 % interval.

    Of all distributions that put mass on what was seen, and on what may have been missed (a weight
    of 0 or of `largest`, with anything that it could have earned), those are kept whose mean
    weight is exactly 1, as it is in truth, and whose likelihood is near that of the best one (Owen,
    "Empirical likelihood ratio confidence intervals for a single functional", 1988; for logged
    choices Karampatziakis, Langford and Mineiro, "Empirical likelihood for contextual bandits",
    2020). The interval holds their means of `earned`. Where choices with heavy weights are missing
    from a log, its mean weight lies below 1, and the interval makes room for them.

    With D half the quantile of chi-square plus what the constraint costs, its upper end is the
    dual of that problem, convex in two numbers:

        min over b, g of  b + g - exp(mean log(b + g w - earned) - D / n)
        where  b >= max at_zero  and  b + g largest >= max at_largest

    Args:
        weight: Weights, 0 to `largest`, whose true mean is 1.
        earned: What each earned, such as the weight times a reward.
        largest: The largest weight that there can be, above 1.
        at_zero: The least and the most that a weight of 0 can earn.
        at_largest: The least and the most that the largest weight can earn.

    Shapes:
        weight: float64, `[n]`.
        earned: float64, `[n]`.

    Raises:
        NonFiniteError: The optimisation failed.
    """
    tilt, cost = _most_likely(weight, largest)
    mass = 1 / (len(weight) * (1 + tilt * (weight - 1)))
    # What mass is left lies on a weight that was not seen; what it earns is unknown.
    unseen = at_zero if tilt > 0 else at_largest
    value = float(mass @ earned) + max(0.0, 1 - float(mass.sum())) * sum(unseen) / 2
    depth = (chi2.ppf(0.95, 1) / 2 + cost) / len(weight)
    upper = _most(weight, earned, largest, depth, max(at_zero), max(at_largest))
    lower = -_most(weight, -earned, largest, depth, -min(at_zero), -min(at_largest))
    return value, lower, upper


def _most_likely(weight: Array, largest: float) -> tuple[float, float]:
    """Return how the most likely distribution weighs rows, and its log-likelihood's cost.

    With the tilt x, row i has mass `1 / (n (1 + x (w_i - 1)))`.
    """
    # No denominator may fall below 0 for any weight that there can be.
    ends = (-1 / (largest - 1), 1.0)
    found = minimize_scalar(
        lambda x: -float(np.log(np.maximum(1 + x * (weight - 1), 1e-300)).sum()),
        bounds=ends,
        method="bounded",
        options={"xatol": 1e-9 * (ends[1] - ends[0])},
    )
    return float(found.x), max(0.0, -float(found.fun))


def _most(
    weight: Array, earned: Array, largest: float, depth: float, at_zero: float, at_largest: float
) -> float:
    """Return the largest likely mean of `earned`."""
    share = weight / largest
    # b is `at_zero + x` and g is `slope + y - x / largest`, so that both constraints are signs.
    slope = (at_largest - at_zero) / largest
    rest = at_zero + slope * weight - earned

    def dual(xy: Array) -> tuple[float, Array]:
        x, y = xy
        inside = x * (1 - share) + y * weight + rest
        mean = float(np.exp(np.log(inside).mean() - depth))
        value = at_zero + slope + x * (1 - 1 / largest) + y - mean
        by_x = 1 - 1 / largest - mean * float(((1 - share) / inside).mean())
        by_y = 1 - mean * float((weight / inside).mean())
        return value, np.array([by_x, by_y])

    found = minimize(
        dual,
        np.ones(2),
        jac=True,
        method="L-BFGS-B",
        bounds=[(1e-9, None)] * 2,
        options={"ftol": 1e-13, "gtol": 1e-8, "maxiter": 1000},
    )
    if not np.isfinite(found.fun):
        raise NonFiniteError("no interval by likelihood was found; check rewards and weights")
    return float(found.fun)
