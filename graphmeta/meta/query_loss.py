"""The outer loss: a proper score that rewards the head of the ranking."""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.autograd.function import once_differentiable

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
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
    query = seen.masked_fill(shown, 0.0).to(scores.dtype)
    if sampled is None:
        log_weight = None
        n_candidates = (~shown).sum(1, keepdim=True)
    else:
        log_weight = sampled.log_weight.where(query == 0, 0.0).masked_fill(shown, -math.inf)
        n_candidates = sampled.n_items - support.size.unsqueeze(1)
        weight = None if weight is None else weight[sampled.item]
    n_query = query.sum()
    if weight is not None:
        query = query * weight
    loss: Tensor = _PowerScore.apply(scores, shown, query, log_weight, n_candidates, power)  # type: ignore[no-untyped-call]
    return loss / n_query


class _PowerScore(torch.autograd.Function):
    """The sum of what the query items cost, and its gradient in closed form.

    With q the weighted query, Q its sum, l = (n p)^b, S = sum_j p_j l_j and G = sum_y q_y l_y,
    a user costs `Q S / (1 + b) - G / b`, whose gradient by the scores is
    `Q p l - q l - p (Q S - G)`. Step by step it would take three times as many passes over the
    catalogue.
    """

    @staticmethod
    def forward(
        ctx: Any,
        scores: Tensor,
        shown: Tensor,
        query: Tensor,
        log_weight: Tensor | None,
        n_candidates: Tensor,
        power: float,
    ) -> Tensor:
        if log_weight is None:
            log_p = scores.masked_fill(shown, -math.inf).log_softmax(1)
        else:
            log_p = scores - (scores + log_weight).logsumexp(1, keepdim=True)
            log_p.masked_fill_(shown, 0.0)
        lifted = (log_p + n_candidates.log()).mul_(power).exp_()
        p = (log_p if log_weight is None else log_p.add_(log_weight)).exp_()
        spread = torch.einsum("ij,ij->i", p, lifted)
        gain = torch.einsum("ij,ij->i", query, lifted)
        total = query.sum(1)
        ctx.save_for_backward(p, lifted, query, total, total * spread - gain)
        return (total * spread / (1 + power) - gain / power).sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        p, lifted, query, total, beyond = ctx.saved_tensors
        slope = (total.unsqueeze(1) * p).sub_(query).mul_(lifted)
        slope.addcmul_(p, beyond.unsqueeze(1), value=-1)
        return slope.mul_(gradients[0]), None, None, None, None, None


def shown_among(
    support: Support, n_items: int, sampled: SampledItems | None = None
) -> Bool[Tensor, "n_users m"]:
    """Return which items each user has shown, of the catalogue or of the sampled ones."""
    return support.to_dense(n_items) > 0 if sampled is None else sampled.shown(support)
