"""New items in the order of how popular items with like features are, the same for everybody."""

from __future__ import annotations

from typing import Self

from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data.cold_users import Support
from graphmeta.errors import DataError
from graphmeta.ranking.baselines.matrix_scorer import MatrixScorer, check_positive
from graphmeta.ranking.baselines.training_matrix import TrainingMatrix
from graphmeta.ranking.new_item_scores import like_known_items
from graphmeta.ranking.search_space import Axis, SearchSpace


class ContentPopularity(MatrixScorer):
    """Takes for the popularity of an item without interactions that of the items like it.

    Their weights are a power of the cosine of binary features (`like_known_items`). It knows
    nothing of a user: what is ahead of it knows taste.

    Fit-time:

    Args:
        power: How much more the most like items count.

    Raises:
        ConfigError: `power` is not above 0.
    """

    def __init__(self, *, power: float = 4.0) -> None:
        check_positive(power=power)
        self.power = power

    @classmethod
    def search_space(cls) -> SearchSpace:
        """Return the grid: all of it is fit-time."""
        return SearchSpace(cls, fit_time={"power": Axis((2.0, 4.0, 8.0), extend="geometric")})

    def fit(self, train: HeteroData) -> Self:
        """Learn from the training graph.

        Raises:
            DataError: The graph has no edge, or its items no features.
        """
        if "x" not in train["item"]:
            raise DataError("ContentPopularity needs item features; give them as x")
        self._like = like_known_items(train, power=self.power)
        return super().fit(train)

    def _fit(self, matrix: TrainingMatrix) -> None:
        new, like, weight = self._like
        self._popularity = matrix.item_count.clone()
        self._popularity[new] = (matrix.item_count[like] * weight).sum(1)

    def _is_known(self, support: Support) -> Tensor:
        return support.size >= 0

    def _score(self, matrix: TrainingMatrix, support: Support) -> Tensor:
        return self._popularity.log1p().repeat(len(support), 1)
