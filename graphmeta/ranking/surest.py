"""The way of scoring that surely ranks best for validation users."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from graphmeta.data.cold_users import ColdUsers, Support
from graphmeta.ranking.metrics import ranking_metrics
from graphmeta.ranking.query_hits import query_hits

BATCH_SIZE = 256

Way = TypeVar("Way")


def surest_way(
    users: ColdUsers,
    sizes: Sequence[int],
    scored: Callable[[Support], Iterator[tuple[Way, Tensor]]],
    usual: Way,
    *,
    seed: int,
) -> Way:
    """Return the way of scoring with the highest mean gain in NDCG@10, less its standard error.

    The gain is over the usual way, which it is where no other has one above 0: a few dozen users
    choose nothing by chance.

    Args:
        users: Validation users.
        sizes: How many items they show; the gain is the mean over these.
        scored: Yields every way with the scores of some users, `[n_users, n_items]`.
        usual: One of the ways.
        seed: Breaks ties.
    """
    parts: dict[Way, list[Tensor]] = defaultdict(list)
    for _, block in users.batches(BATCH_SIZE):
        of_sizes: dict[Way, list[Tensor]] = defaultdict(list)
        for k in sizes:
            for way, scores in scored(block.support(k)):
                generator = torch.Generator().manual_seed(seed)
                hits = query_hits(scores.cpu(), block, n_best=10, generator=generator)[1]
                of_sizes[way].append(ranking_metrics(hits, block.query_ptr.diff())["ndcg@10"])
        for way, found in of_sizes.items():
            parts[way].append(torch.stack(found).mean(0))
    return surest({way: torch.cat(found) for way, found in parts.items()}, usual)


def surest(figures: Mapping[Way, Tensor], usual: Way) -> Way:
    """Return the way with the highest mean gain over the usual one, less its standard error.

    Shapes:
        figures: float64, `[n_users]` for each way.
    """
    n_users = len(figures[usual])

    def least_gain(way: Way) -> float:
        gain = figures[way] - figures[usual]
        return float(gain.mean() - gain.std() / n_users**0.5) if n_users > 1 else 0.0

    best = max(figures, key=least_gain)
    return best if least_gain(best) > 0 else usual
