"""How well little known items, and the users who like them, are served."""

from __future__ import annotations

import torch
from torch import Tensor

from graphmeta.data.cold_users import ColdUsers
from graphmeta.ranking.long_tail import long_tail
from graphmeta.ranking.metrics import ranking_metrics


def tail_metrics(best: Tensor, hits: Tensor, users: ColdUsers) -> dict[str, float]:
    """Return NDCG@10 of the long tail and of users with niche and with mainstream taste.

    - tail NDCG: gains and ideal of the query items of the `long_tail` alone, at the places that
      they have in the whole ranking. Users without such an item are left out.
    - niche, mainstream: NDCG@10 of the third of the users whose first `k_max` items are the least
      and the best known on average, and the gap, the second less the first. (Thirds by
      mainstreaminess: Kowald, Schedl and Lex, ECIR 2020.) The first items say what a user's taste
      is without a look at what is to be ranked, and group users alike for every method and k.

    A figure that no user has is NaN.

    Args:
        best: Items of each user, best first.
        hits: Whether each is in the user's query.
        users: The users, with queries.

    Shapes:
        best: int64, `[n_users, 20]`.
        hits: bool, `[n_users, 20]`.
    """
    n_query = users.query_ptr.diff()
    ndcg = ranking_metrics(hits, n_query)["ndcg@10"]
    first = users.first
    known = users.item_count[first.item_index.clamp(min=0)].double() * first.mask
    taste = known.sum(1) / first.size
    low, high = taste.quantile(torch.tensor([1 / 3, 2 / 3], dtype=torch.float64))
    niche, mainstream = ndcg[taste <= low].mean(), ndcg[taste >= high].mean()
    return {
        "tail_ndcg@10": float(tail_ndcg(best, hits, users).nanmean()),
        "niche_ndcg@10": float(niche),
        "mainstream_ndcg@10": float(mainstream),
        "taste_gap@10": float(mainstream - niche),
    }


def tail_ndcg(best: Tensor, hits: Tensor, users: ColdUsers) -> Tensor:
    """Return each user's NDCG@10 of the long tail, NaN without a query item in it.

    Shapes:
        best: int64, `[n_users, 20]`.
        hits: bool, `[n_users, 20]`.
        output: float64, `[n_users]`.
    """
    tail = long_tail(users.item_count)
    owner = torch.arange(len(users)).repeat_interleave(users.query_ptr.diff())
    n_tail = torch.zeros(len(users), dtype=torch.long)
    n_tail.index_add_(0, owner, tail[users.query_index].long())
    ndcg = ranking_metrics(hits & tail[best], n_tail.clamp(min=1))["ndcg@10"]
    return ndcg.masked_fill(n_tail == 0, torch.nan)
