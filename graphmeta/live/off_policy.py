"""What another policy would have earned, from the log of one that explored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy.stats import t

from graphmeta.errors import ConfigError, DataError
from graphmeta.live.by_likelihood import by_likelihood
from graphmeta.live.choices import Choices, read_choices
from graphmeta.live.overlap import Overlap, effective_size

Array = np.ndarray[Any, np.dtype[Any]]
OnPoorOverlap = Literal["raise", "keep"]


@dataclass(frozen=True)
class OffPolicyEstimate:
    """The value of a target policy, by several estimators, and what they rest on.

    Args:
        values: A row per estimator, `ips`, `snips`, `el` and, where there are predictions, `dm`
            and `dr`: `value` (the mean reward of a choice), `lower` and `upper` (95 %), `gain`
            (less the mean reward in the log), `gain_lower` and `gain_upper`.
        overlap: How far the log speaks about the target policy.
    """

    values: pd.DataFrame
    overlap: Overlap


def estimate_off_policy(
    log: pd.DataFrame,
    *,
    user: str = "user",
    reward: str = "reward",
    propensity: str = "propensity",
    target: str = "target",
    predicted: str | None = None,
    predicted_target: str | None = None,
    unsupported: str | None = None,
    place: str | None = None,
    reward_range: tuple[float, float] | None = (0.0, 1.0),
    largest_weight: float | None = None,
    clip: float | None = None,
    on_poor_overlap: OnPoorOverlap = "raise",
) -> OffPolicyEstimate:
    """Estimate the mean reward of a policy that did not run, from one that did.

    With the weight `w = target / propensity` of a row, reward r, and predictions q(a) for what was
    shown and q(pi) for what the target policy would show:

    - `ips`: mean of `w r` (Horvitz and Thompson, 1952). Without bias.
    - `snips`: `sum w r / sum w` (Swaminathan and Joachims, "The self-normalized estimator for
      counterfactual learning", 2015). A bias that vanishes, and mostly a smaller error.
    - `el`: the mean under the most likely distribution whose mean weight is 1
      (`likelihood_interval`). Its interval allows for heavy weights that the log happens not to
      hold; those of `ips` and `snips` do not, and cover too rarely where there are such.
    - `dm`: mean of `q(pi)`, the direct method. As good as the predictions; its interval knows
      nothing of their error.
    - `dr`: mean of `q(pi) + w (r - q(a))` (Dudik et al., "Doubly robust policy evaluation and
      learning", 2011). Without bias whatever the predictions, if they were not learnt from these
      rows; the better they are, the smaller its error.

    Users are the unit. All intervals but that of `el` are those of a ratio of two sums over
    independent users, with Student's t of `n_users - 1` degrees of freedom: the cluster-robust ones
    of a regression on a constant.

    Args:
        log: A row per choice: an item that came first on a list, or a whole list.
        user: Column with user ids.
        reward: Column with what came of the choice.
        propensity: Column with the probability that the logging policy had of it.
        target: Column with the probability that the target policy has of it.
        predicted: Column with the predicted reward of it.
        predicted_target: Column with the mean prediction over the target policy's choices.
        unsupported: Column with the target policy's probability of what the logging policy would
            never show (to that user, then).
        place: Column with the place on the list, from 1, where rows are items: only first places
            have a propensity that can be computed. Leave it out where a row is a whole list.
        reward_range: The least and the largest reward that there can be, for `el`; None leaves
            `el` out, and so does anything unsupported.
        largest_weight: The largest weight that there can be, for `el`: with `SoftmaxPolicy`
            that logs a share `uniform` at random, at most `n_candidates / uniform`. By default the
            largest in the log, which makes intervals a little too narrow.
        clip: Weights above it are cut to it (Ionides, 2008): a smaller error for a bias towards
            0 of `ips`, towards the predictions of `dr`. Leaves `el` out.
        on_poor_overlap: What to do where the log hardly speaks about the target policy: "raise",
            or "keep" what can be computed, whose intervals cover too rarely.

    Raises:
        ConfigError: `clip` is not positive, `largest_weight` is below a weight in the log, or only
            one column of predictions is named.
        DataError: The log is empty, a column is missing or holds what it cannot; propensities are
            missing, 0, above 1 or all 1; no row could be the target policy's; or overlap is poor:
            the target policy shows what the logging policy does not, the weights average clearly
            less or more than 1, or fewer than 30 effective users are left.
    """
    if clip is not None and not clip > 0:
        raise ConfigError(f"clip={clip} must be above 0")
    if largest_weight is not None and clip is not None:
        raise ConfigError("clip leaves el out, for which largest_weight is; give one of them")
    columns = {
        "reward": reward,
        "propensity": propensity,
        "target": target,
        "predicted": predicted,
        "predicted_target": predicted_target,
        "unsupported": unsupported,
        "place": place,
    }
    choices = read_choices(log, columns, user=user)
    if choices.user.max() == 0:
        raise DataError("the log is of one user; an interval needs independent users")
    weight = choices.target / choices.propensity
    if not weight.any():
        raise DataError(
            "the target policy would have shown none of the logged choices; a log of another "
            "policy, or a target policy that explores, can be compared"
        )
    overlap = _overlap(choices, weight, clip)
    if on_poor_overlap == "raise" and overlap.problem is not None:
        raise DataError(
            f"poor overlap: {overlap.problem}; log more, explore more, choose a target policy "
            "nearer to the logging policy, or take on_poor_overlap='keep' to only look"
        )
    cut = weight if clip is None else np.minimum(weight, clip)
    values = _values(choices, cut)
    # Without what is never shown, weights do not average 1, and el knows nothing else.
    if reward_range is not None and clip is None and not overlap.target_outside:
        largest = overlap.largest_weight if largest_weight is None else largest_weight
        values.loc["el"] = by_likelihood(choices, weight, largest, reward_range)
    return OffPolicyEstimate(values, overlap)


def _overlap(choices: Choices, weight: Array, clip: float | None) -> Overlap:
    ones = np.ones_like(weight)
    mean, influence = _ratio(choices.user, weight, ones)
    outside = choices.unsupported
    return Overlap(
        n_rows=len(weight),
        n_users=int(choices.user.max()) + 1,
        effective_rows=effective_size(weight),
        effective_users=effective_size(np.bincount(choices.user, weight)),
        largest_weight=float(weight.max()),
        largest_share=float(weight.max() / weight.sum()),
        mean_weight=mean,
        mean_weight_error=_error(influence),
        logged_outside=float((weight == 0).mean()),
        target_outside=None if outside is None else float(outside.mean()),
        clipped=0.0 if clip is None else float((weight > clip).mean()),
    )


def _values(choices: Choices, weight: Array) -> pd.DataFrame:
    """Return the table of `OffPolicyEstimate`."""
    reward, user = choices.reward, choices.user
    ones = np.ones_like(weight)
    parts: dict[str, tuple[Array, Array]] = {
        "ips": (weight * reward, ones),
        "snips": (weight * reward, weight),
    }
    if choices.predicted is not None and choices.predicted_target is not None:
        residual = weight * (reward - choices.predicted)
        parts["dm"] = choices.predicted_target, ones
        parts["dr"] = choices.predicted_target + residual, ones
    logged, of_logged = _ratio(user, reward, ones)
    rows = {}
    for name, (top, bottom) in parts.items():
        value, influence = _ratio(user, top, bottom)
        lower, upper = _interval(value, influence)
        gain = value - logged
        gain_lower, gain_upper = _interval(gain, influence - of_logged)
        rows[name] = (value, lower, upper, gain, gain_lower, gain_upper)
    names = ["value", "lower", "upper", "gain", "gain_lower", "gain_upper"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=names)


def _ratio(user: Array, top: Array, bottom: Array) -> tuple[float, Array]:
    """Return `sum top / sum bottom`, and how much each user moves it: the delta method."""
    total = float(bottom.sum())
    value = float(top.sum()) / total
    return value, np.bincount(user, top - value * bottom) / total


def _error(influence: Array) -> float:
    """Return the standard error of a sum of users' influences."""
    n_users = len(influence)
    return float(np.sqrt((influence**2).sum() * n_users / (n_users - 1)))


def _interval(value: float, influence: Array) -> tuple[float, float]:
    reach = float(t.ppf(0.975, len(influence) - 1)) * _error(influence)
    return value - reach, value + reach
