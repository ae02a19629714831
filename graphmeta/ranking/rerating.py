"""How well the items that a user has rated are put in the order of the ratings.

This is *re-rating*, not recommendation: only the few items of a query are ranked, all of them
rated, so that any order scores well. Chance and the items' mean rating belong beside each figure.
"""

from __future__ import annotations

import pandas as pd
import torch
from torch import Tensor

from graphmeta.data.rated_split import RatedUsers
from graphmeta.errors import NonFiniteError
from graphmeta.ranking.scorer import Scorer

TOP = 5
BATCH_SIZE = 256


def rerate(scorer: Scorer, users: RatedUsers) -> pd.DataFrame:
    """Return each user's figures.

    Returns:
        Columns user and those of `rerating_metrics`.

    Raises:
        NonFiniteError: A score is NaN or infinite.
    """
    parts = []
    for start in range(0, len(users), BATCH_SIZE):
        block = slice(start, start + BATCH_SIZE)
        scores = scorer.score(users.support[block]).detach().cpu()
        parts.append(scores.gather(1, users.item_index[block]))
    score = torch.cat(parts)
    if not bool(score.isfinite().all()):
        raise NonFiniteError(f"{type(scorer).__name__} returns scores that are not finite")
    metrics = rerating_metrics(score, users.rating)
    columns = {name: value.numpy() for name, value in metrics.items()}
    return pd.DataFrame({"user": users.user_ids.ids, **columns})


def rerating_metrics(score: Tensor, rating: Tensor) -> dict[str, Tensor]:
    """Return NDCG@5 with the ratings as gains, and NDCG@5 and precision@5 of the better half.

    `DCG = sum over ranks r to 5 of gain_r / log2(r + 1)`, over that of the best order. The better
    half are the items with the highest ratings, as many as the others. Where ratings on the border
    between the halves are equal, or scores are, a figure is its mean over all ways to break the
    tie: not even the ratings' own order need reach 1, and equal scores throughout give what chance
    gives, 1/2 in the latter two for ten items.

    Shapes:
        score: `[n_users, n]`, n at least 5.
        rating: `[n_users, n]`.
        output: float64, `[n_users]` for each metric, named "ndcg@5", "better-half-ndcg@5" and
            "better-half-precision@5".
    """
    rating, n_better = rating.double(), rating.size(1) // 2
    by_rating = _in_order(score, rating)
    by_half = _in_order(score, _membership(rating, n_better))
    best = torch.ones(1, n_better, dtype=torch.float64)
    return {
        "ndcg@5": _dcg(by_rating) / _dcg(_in_order(rating, rating)),
        "better-half-ndcg@5": _dcg(by_half) / _dcg(best),
        "better-half-precision@5": by_half[:, :TOP].mean(1),
    }


def _dcg(gain: Tensor) -> Tensor:
    discount = 1 / torch.arange(2, TOP + 2, dtype=torch.float64).log2()
    top = gain[:, :TOP]
    return (top * discount[: top.size(1)]).sum(1)


def _membership(rating: Tensor, n: int) -> Tensor:
    """Return how far each item is among the n highest, ties broken at random; in [0, 1]."""
    border = rating.topk(n, dim=1).values[:, -1:]
    above, tied = rating > border, rating == border
    left = n - above.sum(1, keepdim=True)
    return above.double() + tied.double() * left / tied.sum(1, keepdim=True)


def _in_order(score: Tensor, gain: Tensor) -> Tensor:
    """Return the gains by descending score, of equal scores their mean."""
    tied = (score.unsqueeze(2) == score.unsqueeze(1)).double()
    expected = (tied @ gain.unsqueeze(2)).squeeze(2) / tied.sum(2)
    return expected.gather(1, score.argsort(dim=1, descending=True))
