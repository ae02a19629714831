"""The protocol: full-catalogue ranking of cold users' queries at several support sizes."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import torch

from graphmeta.data.cold_users import ColdUsers
from graphmeta.errors import ConfigError, DataError
from graphmeta.ranking.metrics import ranking_metrics
from graphmeta.ranking.scorer import Scorer
from graphmeta.ranking.top_k import top_k


def evaluate(
    scorer: Scorer,
    users: ColdUsers,
    *,
    k: Sequence[int] = (0, 1, 3, 5, 10),
    batch_size: int = 256,
    seed: int = 0,
) -> pd.DataFrame:
    """Return one row per user and support size with the user's ranking metrics.

    Each user shows the first `k` interactions; candidates are the whole catalogue less the
    user's first `k_max`, whatever k, and the query is the same for every k.

    Args:
        scorer: A fitted method.
        users: Validation or test users of a split.
        k: Support sizes.
        batch_size: Users scored at once.
        seed: Breaks ties.

    Returns:
        Columns `user` (the caller's id), `k`, `ndcg@10`, `recall@20`, `hit_rate@10`, `mrr@10`.

    Raises:
        ConfigError: A support size is outside what the split holds.
        DataError: There is no user, or one without a query.
        NonFiniteError: A score is NaN or infinite.
    """
    if not len(users):
        raise DataError("there are no users to evaluate")
    if bool((users.query_ptr.diff() == 0).any()):
        raise DataError("a user has an empty query; evaluate users with something to rank")
    if not k:
        raise ConfigError("k is empty; name at least one support size")
    rows = []
    for size in k:
        generator = torch.Generator().manual_seed(seed)
        for _, block in users.batches(batch_size):
            scores = scorer.score(block.support(size)).cpu()
            n_best = min(20, scores.size(1) - users.k_max)
            best = top_k(scores, block.first.item_index, k=n_best, generator=generator)
            n_query = block.query_ptr.diff()
            in_query = torch.zeros(scores.shape, dtype=torch.bool)
            in_query[torch.arange(len(block)).repeat_interleave(n_query), block.query_index] = True
            metrics = ranking_metrics(in_query.gather(1, best), n_query)
            rows.append(pd.DataFrame({"user": block.user_ids.ids, "k": size, **metrics}))
    return pd.concat(rows, ignore_index=True)
