"""What a ranking in random order scores, exactly."""

from __future__ import annotations

import torch
from torch import Tensor


def chance_moments(n_query: Tensor, n_candidates: int | Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    """Return mean and variance of each user's metrics when candidates come in random order.

    With q of c candidates in the query, a rank is a hit with probability `q / c` and two ranks
    are both hits with `q (q - 1) / (c (c - 1))`; that gives NDCG and recall, which are sums over
    ranks. The first r ranks are all misses with `s_r = prod over j < r of (c - q - j) / (c - j)`;
    that gives the hit rate, `1 - s_10`, and MRR, `sum over r of (s_(r-1) - s_r) / r`.

    Args:
        n_query: Number of query items of each user, at least 1.
        n_candidates: Number of items that are ranked, for all users or for each.

    Shapes:
        n_query: int64, `[n_users]`.
        n_candidates: int64, `[n_users]`.
        output: float64, twice `[n_users]` for each metric of `ranking_metrics`.
    """
    q, c = n_query.double(), torch.as_tensor(n_candidates).double().expand(len(n_query))
    discount = 1 / torch.arange(2, 12, dtype=torch.float64).log2()
    ideal = discount.cumsum(0)[n_query.clamp(max=10) - 1]
    ones = torch.ones(20, dtype=torch.float64)
    ndcg, recall = _sum_moments(discount, q, c), _sum_moments(ones, q, c)
    size = n_query.clamp(max=20).double()
    depth = torch.arange(10, dtype=torch.float64)
    left = c.unsqueeze(1) - depth  # Where none is left, the query has been hit.
    misses = ((left - q.unsqueeze(1)).clamp(min=0) / left.clamp(min=1)).cumprod(1)
    before = torch.cat([torch.ones_like(misses[:, :1]), misses[:, :-1]], dim=1)
    first = before - misses  # the probability that the first hit is at each rank
    no_hit = misses[:, -1]
    mrr = (first / (depth + 1)).sum(1)
    return {
        "ndcg@10": (ndcg[0] / ideal, ndcg[1] / ideal**2),
        "recall@20": (recall[0] / size, recall[1] / size**2),
        "hit_rate@10": (1 - no_hit, no_hit * (1 - no_hit)),
        "mrr@10": (mrr, ((first / (depth + 1) ** 2).sum(1) - mrr**2).clamp(min=0)),
    }


def _sum_moments(weight: Tensor, q: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and variance of the weighted number of hits over ranks."""
    p = q / c
    both = torch.where(c > 1, q * (q - 1) / (c * (c - 1)).clamp(min=1), p)
    weight = weight * (torch.arange(len(weight)) < c.unsqueeze(1))
    total, square = weight.sum(1), (weight**2).sum(1)
    variance = p * (1 - p) * square + (both - p**2) * (total**2 - square)
    return p * total, variance.clamp(min=0)
