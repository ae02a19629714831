"""What is known of items from elsewhere than the training graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor

from graphmeta.ranking.linear_part import LinearPart


class ItemStatistics(NamedTuple):
    """What `ColdStartRecommender.fit` takes in place of the training graph's own statistics.

    Such as `graphmeta.privacy` releases of users who are not in the graph.

    Args:
        priors: The rankings for everybody of which `PriorBlend` chooses, by name.
        directions: What the linear part is to be of, its ridge and weight not yet chosen; None for
            the training graph.
        factors: Where `ItemTable.embedding` and `output` start; None for `item_start`.

    Shapes:
        priors: float32, `[n_items]` each, above 0.
        factors: float32, `[n_items, channels]` each.
    """

    priors: Mapping[str, Tensor]
    directions: LinearPart | None = None
    factors: tuple[Tensor, Tensor] | None = None
