"""Items in the order of their mean ratings, the same for everybody."""

from __future__ import annotations

from typing import Self

from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data.cold_users import Support
from graphmeta.errors import DataError
from graphmeta.ranking.baselines.matrix_scorer import check_at_least
from graphmeta.ranking.baselines.rating_matrix import RatingMatrix
from graphmeta.ranking.search_space import Axis, SearchSpace


class ItemMean:
    """Scores an item by its mean rating, less what its raters' own means say, and shrunk.

    All items that nobody has rated are alike.

    Fit-time:

    Args:
        shrinkage: How many ratings at the mean of all are added to an item's own.

    Raises:
        ConfigError: `shrinkage` is negative.
    """

    _ratings: RatingMatrix | None = None

    def __init__(self, *, shrinkage: float = 5.0) -> None:
        check_at_least(0, shrinkage=shrinkage)
        self.shrinkage = shrinkage

    @classmethod
    def search_space(cls) -> SearchSpace:
        """Return the grid: all of it is fit-time."""
        shrinkage = Axis((1.0, 3.0, 10.0), extend="geometric", low=0.1, start=3.0)
        return SearchSpace(cls, fit_time={"shrinkage": shrinkage})

    def fit(self, train: HeteroData) -> Self:
        """Learn from the training graph.

        Raises:
            DataError: The graph has no ratings.
        """
        self._ratings = RatingMatrix(train, shrinkage=self.shrinkage, by_features=False)
        return self

    def score(self, support: Support) -> Tensor:
        """Return every item's predicted rating, the same for each user.

        Shapes:
            output: float32, `[n_users, n_items]`.

        Raises:
            DataError: The scorer is not fitted.
        """
        if self._ratings is None:
            raise DataError("ItemMean is not fitted; call fit(train) first")
        return (self._ratings.mean + self._ratings.item_bias).repeat(len(support), 1)
