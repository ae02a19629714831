"""Content-based nearest neighbours: items like those a user has shown."""

from __future__ import annotations

from typing import Self

from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data.cold_users import Support
from graphmeta.errors import DataError
from graphmeta.ranking.baselines.matrix_scorer import (
    MatrixScorer,
    check_at_least,
    rank_unscored_by_popularity,
)
from graphmeta.ranking.baselines.training_matrix import TrainingMatrix
from graphmeta.ranking.search_space import Axis, SearchSpace


class ContentKNN(MatrixScorer):
    """Sums the similarities of an item's features to those of a user's items.

    With `x` the non-negative features, `n_f` the items that have feature f, and n items in all,

        w_if = x_if * log(n / n_f) ** rarity       s_ij = w_i . w_j / (|w_i| |w_j|) ** norm

    which for a rarity and a norm of 1 is the cosine of TF-IDF vectors (Lops et al., "Content-based
    recommender systems: state of the art and trends", 2011). It needs no interaction of the item
    that it scores. Items that share nothing with the support come last, by popularity.

    Fit-time: nothing. Score-time:

    Args:
        rarity: How much rare features count for more.
        norm: How much items with many features count for less.

    Raises:
        ConfigError: A number is below 0.
    """

    def __init__(self, *, rarity: float = 1.0, norm: float = 1.0) -> None:
        check_at_least(0, rarity=rarity, norm=norm)
        self.rarity = rarity
        self.norm = norm

    @classmethod
    def search_space(cls) -> SearchSpace:
        """Return the grid: all of it is score-time."""
        return SearchSpace(
            cls,
            score_time={
                "rarity": Axis((0.0, 0.5, 1.0, 1.5, 2.0), extend="linear", start=1.0),
                "norm": Axis((0.0, 0.25, 0.5, 0.75, 1.0), extend="linear", start=0.5),
            },
        )

    def fit(self, train: HeteroData) -> Self:
        """Learn from the training graph.

        Raises:
            DataError: The graph has no edge, or its items no features or negative ones.
        """
        x = train["item"].get("x")
        if x is None or bool((x < 0).any()):
            raise DataError("ContentKNN needs item features that are 0 or above; give them as x")
        self._x: Tensor = x
        return super().fit(train)

    def _score(self, matrix: TrainingMatrix, support: Support) -> Tensor:
        n_having = (self._x > 0).sum(0).clamp(min=1)
        weight = self._x * (matrix.n_items / n_having).log().pow(self.rarity)
        length = weight.square().sum(1, keepdim=True).sqrt().clamp(min=1e-12)
        weight = weight / length.pow(self.norm)
        profile = support.to_dense(matrix.n_items) @ weight
        return rank_unscored_by_popularity(profile @ weight.T, matrix.log_popularity)
