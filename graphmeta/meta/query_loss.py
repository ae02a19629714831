"""The outer loss: a proper score that rewards the head of the ranking."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from graphmeta.data.cold_users import Support
from graphmeta.errors import ConfigError
from graphmeta.tasks.sampled_items import SampledItems

# Between cross-entropy (0) and the quadratic score (1); the better middle on validation users.
POWER = 0.7


def query_loss(
    scores: Float[Tensor, "n_users m"],
    support: Support,
    seen: Float[Tensor, "n_users m"],
    *,
    power: float = POWER,
    weight: Float[Tensor, " n_items"] | None = None,
    sampled: SampledItems | None = None,
) -> Float[Tensor, ""]:
    """Return the mean power score of the query items under the softmax of the scores.

    With p the softmax over the catalogue less the support, n its size, and b the power, a query
    item y costs `- (n p_y)^b / b + (1 / (1 + b)) sum_j p_j (n p_j)^b`: a proper scoring rule
    (density power divergence, Basu et al., Biometrika 1998) whose limit at b = 0 is the
    cross-entropy up to a constant. Cross-entropy spends the model on the long tail of the
    query, which no top ten shows; a power above 0 weighs an item by its probability.

    The mean runs over all query items of the batch, so that a user counts by the size of the
    query and the optimum ranks by the probability that an item is in it. With weights w the
    cost of a query item y is multiplied by w_y, and the optimum ranks by w_y times the probability.

    Of a large catalogue some items stand for the whole: both sums over it, of the softmax and of
    the cost, are estimated from items drawn by popularity and those of the other users, each in
    place of as many as it was expected to come from (sampled softmax with the log-q correction;
    Bengio and Senécal, 2008). The user's own query counts exactly.

    Args:
        scores: The catalogue's scores, or those of the sampled items.
        support: What each user has shown.
        seen: Each user's whole row.
        power: b, in 0 (exclusive) to 1.
        weight: What a query item's cost counts for, such as `inverse_propensity`; None for 1.
        sampled: The items of the columns, all that the users have seen among them; None for the
            catalogue.

    Shapes:
        scores: float32, `[n_users, m]`, where m is `n_items` or the number of sampled items.
        seen: float32, `[n_users, m]`; ones at support and query items.
        weight: float32, `[n_items]`.

    Raises:
        ConfigError: `power` is out of its range.
    """
    if not 0 < power <= 1:
        raise ConfigError(f"power={power} is outside 0..1; 0 itself is not allowed")
    shown = shown_among(support, scores.size(1), sampled)
    query = seen.masked_fill(shown, 0.0)
    if sampled is None:
        log_p = scores.masked_fill(shown, -math.inf).log_softmax(1).masked_fill(shown, 0.0)
        n_candidates = (~shown).sum(1, keepdim=True)
        p = log_p.exp().masked_fill(shown, 0.0)
    else:
        log_weight = sampled.log_weight.where(query == 0, 0.0).masked_fill(shown, -math.inf)
        log_p = scores - (scores + log_weight).logsumexp(1, keepdim=True)
        log_p = log_p.masked_fill(shown, 0.0)
        n_candidates = sampled.n_items - support.size.unsqueeze(1)
        p = (log_p + log_weight).exp()
        weight = None if weight is None else weight[sampled.item]
    lifted = torch.exp(power * (log_p + n_candidates.log()))
    n_query = query.sum()
    if weight is not None:
        query = query * weight
    gain = (lifted * query).sum(1) / power
    spread = query.sum(1) * (p * lifted).sum(1) / (1 + power)
    return (spread - gain).sum() / n_query


def shown_among(
    support: Support, n_items: int, sampled: SampledItems | None = None
) -> Bool[Tensor, "n_users m"]:
    """Return which items each user has shown, of the catalogue or of the sampled ones."""
    return support.to_dense(n_items) > 0 if sampled is None else sampled.shown(support)
