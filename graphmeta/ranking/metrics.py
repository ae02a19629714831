"""Per-user ranking metrics with binary gains."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Int
from torch import Tensor


def ranking_metrics(
    hits: Bool[Tensor, "n_users k"], n_query: Int[Tensor, " n_users"]
) -> dict[str, Tensor]:
    """Return NDCG@10, Recall@20, HitRate@10 and MRR@10 of each user.

    `DCG = sum over ranks r from 1 of hit_r / log2(r + 1)`; the ideal has the query items
    first. Recall's denominator is `min(20, n_query)`. PyG's `LinkPredRecall` divides by
    `n_query` and its metrics average over users, which a paired comparison cannot use.

    Args:
        hits: True where the item at that rank is in the user's query.
        n_query: Number of query items, at least 1.

    Shapes:
        hits: bool, `[n_users, 20]`, fewer columns where the catalogue is smaller.
        n_query: int64, `[n_users]`.
        output: float64, `[n_users]` for each metric.
    """
    top = hits[:, :10].double()
    discount = 1 / torch.arange(2, 12, dtype=torch.float64).log2()
    ideal = discount.cumsum(0)[n_query.clamp(max=10) - 1]
    rank = torch.arange(1, top.size(1) + 1)
    return {
        "ndcg@10": (top * discount[: top.size(1)]).sum(1) / ideal,
        "recall@20": hits.sum(1).double() / n_query.clamp(max=20),
        "hit_rate@10": top.amax(1),
        "mrr@10": (top / rank).amax(1),
    }
