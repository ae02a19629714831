"""The protocol: full-catalogue ranking of cold users' queries at several support sizes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from graphmeta.data.cold_users import ColdUsers
from graphmeta.errors import ConfigError, DataError
from graphmeta.ranking.catalogue_metrics import catalogue_metrics
from graphmeta.ranking.evaluation import Evaluation
from graphmeta.ranking.metrics import ranking_metrics
from graphmeta.ranking.query_hits import query_hits
from graphmeta.ranking.reranker import Reranker, reranked
from graphmeta.ranking.scorer import Scorer
from graphmeta.ranking.tail_metrics import tail_metrics

N_BEST = 20


def evaluate(
    scorer: Scorer,
    users: ColdUsers,
    *,
    k: Sequence[int] = (0, 1, 3, 5, 10),
    batch_size: int = 256,
    seed: int = 0,
) -> Evaluation:
    """Rank the catalogue for each user and support size, and measure the rankings.

    Each user shows the first `k` interactions; candidates are the whole catalogue less the
    user's first `k_max`, whatever k, and the query is the same for every k. Where the scorer has a
    `reranker`, it orders the best of them anew.

    Args:
        scorer: A fitted method.
        users: Validation or test users of a split.
        k: Support sizes.
        batch_size: Users scored at once.
        seed: Breaks ties.

    Returns:
        `per_user` with `ndcg@10`, `recall@20`, `hit_rate@10` and `mrr@10`, the best 20 items of
        each user in `rankings`, and `catalogue`.

    Raises:
        ConfigError: A support size is outside what the split holds, or given twice.
        DataError: There is no user, or one without a query, or the scorer returns another
            number of scores than there are users and items.
        NonFiniteError: A score is NaN or infinite.
    """
    _check(users, k)
    n_query = users.query_ptr.diff()
    per_user, rankings, catalogue = [], [], []
    for size in k:
        best, score, hits = _rank(scorer, users, size, batch_size, seed)
        metrics = ranking_metrics(hits, n_query)
        per_user.append(pd.DataFrame({"user": users.user_ids.ids, "k": size, **metrics}))
        rankings.append(_ranking_table(users, size, best, score))
        of_items = catalogue_metrics(best, users.item_count, users.n_train_users)
        catalogue.append({"k": size, **of_items, **tail_metrics(best, hits, users)})
    return Evaluation(
        pd.concat(per_user, ignore_index=True),
        pd.concat(rankings, ignore_index=True),
        pd.DataFrame(catalogue),
    )


def _check(users: ColdUsers, k: Sequence[int]) -> None:
    if not len(users):
        raise DataError("there are no users to evaluate")
    if bool((users.query_ptr.diff() == 0).any()):
        raise DataError("a user has an empty query; evaluate users with something to rank")
    if not k:
        raise ConfigError("k is empty; name at least one support size")
    if len(set(k)) < len(k):
        raise ConfigError(f"k={tuple(k)} names a support size twice; name each once")
    for size in k:
        users.support(size)  # refuses a size before anything is scored


def _rank(
    scorer: Scorer, users: ColdUsers, size: int, batch_size: int, seed: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return each user's best items, their scores, and whether each is in the query."""
    generator = torch.Generator().manual_seed(seed)
    reranker: Reranker | None = getattr(scorer, "reranker", None)
    n_best = N_BEST if reranker is None else max(N_BEST, reranker.n_candidates)
    best, score, hits = [], [], []
    for _, block in users.batches(batch_size):
        scores = scorer.score(block.support(size)).detach().cpu()
        if scores.shape != (len(block), len(users.item_ids)):
            raise DataError(
                f"{type(scorer).__name__} returned scores of shape {list(scores.shape)}; expected "
                f"{[len(block), len(users.item_ids)]}, one for each user and catalogue item"
            )
        items, found = query_hits(scores, block, n_best=n_best, generator=generator)
        shown = scores.gather(1, items)
        if reranker is not None:
            n_shown = min(N_BEST, items.size(1))
            place = reranked(reranker, items, shown, block.support(size), k=n_shown)
            items, shown, found = (part.gather(1, place) for part in (items, shown, found))
        best.append(items)
        score.append(shown)
        hits.append(found)
    return torch.cat(best), torch.cat(score), torch.cat(hits)


def _ranking_table(users: ColdUsers, size: int, best: Tensor, score: Tensor) -> pd.DataFrame:
    n_users, n_best = best.shape
    return pd.DataFrame(
        {
            "user": np.repeat(users.user_ids.ids, n_best),
            "k": size,
            "rank": np.tile(np.arange(1, n_best + 1), n_users),
            "item": users.item_ids.to_ids(best.flatten()),
            "score": score.flatten().numpy(),
        }
    )
