"""What is known of items from elsewhere than the training graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor

from graphmeta.errors import DataError
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

    def refuse_unfit(self, n_items: int) -> None:
        """Raise an error unless this is about a catalogue of so many items.

        Raises:
            DataError: A prior or the directions are of another length, or a share is not above 0.
        """
        for name, prior in self.priors.items():
            if prior.shape != (n_items,) or not bool((prior > 0).all()):
                raise DataError(
                    f"prior {name!r} has shape {list(prior.shape)} and a least share of "
                    f"{float(prior.min())}; give each of the {n_items} items one above 0"
                )
        if self.directions is not None and len(self.directions.vector) != n_items:
            raise DataError(
                f"the directions are of {len(self.directions.vector)} items, the training graph "
                f"has {n_items}; make them for its items, in its order"
            )
