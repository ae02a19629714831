"""How much a new user's links should count, by what validation users say."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from graphmeta.data.cold_users import ColdUsers
from graphmeta.errors import ConfigError
from graphmeta.ranking.few_shot_scorer import FewShotScorer
from graphmeta.ranking.metrics import ranking_metrics
from graphmeta.ranking.prior_blend import surest
from graphmeta.ranking.query_hits import query_hits

# Relative to what was learnt.
FACTORS = (1.0, 0.0, 0.5, 0.7, 1.2, 1.4, 1.7, 2.0, 2.4)
BATCH_SIZE = 256


def link_factors(
    scorer: FewShotScorer, users: ColdUsers, sizes: Sequence[int], *, seed: int
) -> dict[int, float]:
    """Return by what each support size would have the weight of the links multiplied.

    Training learns the likelihood of all that a user goes on to do; most of it is further down
    than anybody looks. Chosen is the factor whose mean gain in NDCG@10 over the learnt weight,
    less its standard error, is highest, and 1 where that is not above 0.

    Args:
        scorer: The trained model, without a prior.
        users: Validation users.
        sizes: Support sizes.
        seed: Breaks ties.
    """
    return {size: _factor(scorer, users, size, seed) for size in sizes}


def _factor(scorer: FewShotScorer, users: ColdUsers, size: int, seed: int) -> float:
    parts: dict[float, list[Tensor]] = {factor: [] for factor in FACTORS}
    for _, block in users.batches(BATCH_SIZE):
        support = block.support(size)
        alone = scorer.score(replace(support, links=None)).cpu()
        linked = scorer.score(support).cpu() - alone  # The score is linear in the weight.
        for factor, found in parts.items():
            generator = torch.Generator().manual_seed(seed)
            scores = alone + factor * linked
            hits = query_hits(scores, block, n_best=10, generator=generator)[1]
            found.append(ranking_metrics(hits, block.query_ptr.diff())["ndcg@10"])
    return surest({factor: torch.cat(found) for factor, found in parts.items()}, 1.0)


def with_link_factors(scorer: FewShotScorer, factors: Mapping[int, float]) -> FewShotScorer:
    """Return a scorer with another weight of the links; the given one is not changed.

    Args:
        scorer: Its head has links.
        factors: What `link_factors` returned.

    Raises:
        ConfigError: The head has no links.
    """
    head = copy.deepcopy(scorer.head)
    if head.social is None:
        raise ConfigError("the model was trained without links; there is nothing to weigh")
    head.social.scale(factors)
    return replace(scorer, head=head)
