"""How much a new user's links should count, by what validation users say."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from torch import Tensor

from graphmeta.data.cold_users import ColdUsers, Support
from graphmeta.errors import ConfigError
from graphmeta.ranking.few_shot_scorer import FewShotScorer
from graphmeta.ranking.surest import surest_way

# Relative to what was learnt.
FACTORS = (1.0, 0.0, 0.5, 0.7, 1.2, 1.4, 1.7, 2.0, 2.4)


def link_factors(
    scorer: FewShotScorer, users: ColdUsers, sizes: Sequence[int], *, seed: int
) -> dict[int, float]:
    """Return by what each support size would have the weight of the links multiplied.

    Training learns the likelihood of all that a user goes on to do; most of it is further down
    than anybody looks. Chosen is the factor that surely helps most, or 1 (`surest_way`).

    Args:
        scorer: The trained model, without a prior.
        users: Validation users.
        sizes: Support sizes.
        seed: Breaks ties.
    """
    return {size: _factor(scorer, users, size, seed) for size in sizes}


def _factor(scorer: FewShotScorer, users: ColdUsers, size: int, seed: int) -> float:
    def scored(support: Support) -> Iterator[tuple[float, Tensor]]:
        alone = scorer.score(replace(support, links=None))
        linked = scorer.score(support) - alone  # The score is linear in the weight.
        for factor in FACTORS:
            yield factor, alone + factor * linked

    return surest_way(users, [size], scored, 1.0, seed=seed)


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
