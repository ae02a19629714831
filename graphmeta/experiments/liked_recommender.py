"""The default recommender where users tell ratings: it learns from what they like."""

from __future__ import annotations

from dataclasses import replace
from typing import Self

from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data import Support
from graphmeta.data.bipartite_graph import FORWARD
from graphmeta.data.rated_split import with_all_items
from graphmeta.errors import DataError
from graphmeta.ranking import ColdStartRecommender

LIKED = 4.0


class LikedRecommender:
    """`ColdStartRecommender()` of the ratings that are at least `LIKED`, as interactions.

    Args:
        epochs: Epochs of training.
        seed: Its seed.
    """

    def __init__(self, *, epochs: int, seed: int) -> None:
        self._model = ColdStartRecommender(epochs=epochs, seed=seed)

    def fit(self, train: HeteroData) -> Self:
        """Learn from the training graph; all its items are kept.

        Raises:
            GraphMetaError: Training fails.
        """
        liked = (train[FORWARD].rating >= LIKED).nonzero().flatten().numpy()
        self._model.fit(with_all_items(train, liked, rated=False))
        return self

    def score(self, support: Support) -> Tensor:
        """Return every item's score for each user, by the items that the user likes.

        Shapes:
            output: float32, `[n_users, n_items]`.

        Raises:
            DataError: The support has no ratings.
        """
        if support.rating is None:
            raise DataError("what a user likes is told by ratings; the support has none")
        is_liked = support.mask & (support.rating >= LIKED)
        order = (~is_liked).int().argsort(dim=1, stable=True)
        item = support.item_index.where(is_liked, -1).gather(1, order)
        return self._model.score(
            replace(support, item_index=item[:, : int(is_liked.sum(1).max())], rating=None)
        )
