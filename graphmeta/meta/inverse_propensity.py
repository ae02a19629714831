"""Weights that make up for popular items being seen, and so chosen, more often."""

from __future__ import annotations

from torch import Tensor

from graphmeta.errors import ConfigError


def inverse_propensity(item_count: Tensor, *, power: float, clip: float) -> Tensor:
    """Return what an interaction with each item counts for, one on average.

    An interaction tells that a user likes an item and came across it. If the chance of the latter,
    the propensity, is known, weighing interactions by its inverse makes the loss that of users who
    come across everything (Schnabel et al., ICML 2016). Here it is taken from the popularity,

        propensity_i = max((count_i / max count)^power, clip)

    as in Saito et al., WSDM 2020; the clip bounds the weights, and with them the variance, for some
    bias. Under `query_loss` the best scores are those of the unweighted loss plus the logarithm of
    the weight: without the clip, and for a model that could learn anything, what
    `ColdStartRecommender.with_niche(power)` does to a trained one.

    Args:
        item_count: Training users of each item; one more is counted.
        power: 0 (all count alike) to 1 (proportional to the popularity).
        clip: The least propensity, above 0 and up to 1.

    Shapes:
        item_count: `[n_items]`.
        output: float32, `[n_items]`.

    Raises:
        ConfigError: `power` or `clip` is out of its range.
    """
    if not 0 <= power <= 1:
        raise ConfigError(f"propensity_power={power} is outside 0..1; 0 leaves it out")
    if not 0 < clip <= 1:
        raise ConfigError(f"propensity_clip={clip} is outside 0..1; 0 itself is not allowed")
    count = item_count.float()
    propensity = ((count + 1) / (count.max() + 1)).pow(power).clamp(min=clip)
    weight = 1 / propensity
    return weight * count.sum() / (weight * count).sum()
