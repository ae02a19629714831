"""User-based nearest neighbours."""

from __future__ import annotations

from torch import Tensor

from graphmeta.data.cold_users import Support
from graphmeta.ranking.baselines.matrix_scorer import (
    MatrixScorer,
    check_at_least,
    check_positive,
    rank_unscored_by_popularity,
)
from graphmeta.ranking.baselines.training_matrix import TrainingMatrix, keep_largest
from graphmeta.ranking.search_space import Axis, SearchSpace


class UserKNN(MatrixScorer):
    """Lets the training users most similar to the support vote for their items.

    With `o_v` the support items that training user v has, `k` the size of the support and `n_v`
    the number of v's items,

        s_v = (o_v / (sqrt(k) * n_v ** norm_exponent + shrinkage)) ** power

    and the score of an item is the sum of `s_v` over those of the `neighbors` largest `s_v`
    whose user has the item. An exponent of 0.5 without shrinkage is the cosine (Sarwar et al.,
    "Analysis of recommendation algorithms for e-commerce", EC 2000); the power amplifies
    the best neighbours (Breese et al., "Empirical analysis of predictive algorithms for
    collaborative filtering", UAI 1998). Items that no neighbour has come last, by popularity.

    Fit-time: nothing. Score-time:

    Args:
        neighbors: Training users who vote; all that tie for the last place do.
        norm_exponent: How much a long history counts against a neighbour.
        shrinkage: Damps the similarity of users with few items.
        power: Sharpens the differences among neighbours.

    Raises:
        ConfigError: `neighbors` is below 1, `shrinkage` below 0 or `power` not above 0.
    """

    def __init__(
        self,
        *,
        neighbors: int = 200,
        norm_exponent: float = 0.5,
        shrinkage: float = 10.0,
        power: float = 4.0,
    ) -> None:
        check_at_least(1, neighbors=neighbors)
        check_at_least(0, shrinkage=shrinkage)
        check_positive(power=power)
        self.neighbors = neighbors
        self.norm_exponent = norm_exponent
        self.shrinkage = shrinkage
        self.power = power

    @classmethod
    def search_space(cls) -> SearchSpace:
        """Return the grid: all of it is score-time."""
        return SearchSpace(
            cls,
            score_time={
                "neighbors": Axis((50, 100, 200, 400, 800, 1600), extend="geometric", start=200),
                "norm_exponent": Axis((0.0, 0.2, 0.3, 0.4, 0.5, 0.7), extend="linear", start=0.4),
                "power": Axis((1.0, 2.0, 4.0, 8.0), extend="geometric", start=4.0),
                "shrinkage": Axis((0.0, 1.0, 10.0, 100.0, 1000.0), extend="geometric", start=10.0),
            },
        )

    def _score(self, matrix: TrainingMatrix, support: Support) -> Tensor:
        return rank_unscored_by_popularity(self._votes(matrix, support), matrix.log_popularity)

    def _overlap(self, matrix: TrainingMatrix, support: Support) -> Tensor:
        return matrix.overlap(support)

    def _votes(self, matrix: TrainingMatrix, support: Support) -> Tensor:
        """Return each item's sum of the similarities of the neighbours who have it."""
        norm = matrix.user_count.pow(self.norm_exponent)
        own = support.size.clamp(min=1).float().sqrt()[:, None]
        similarity = self._overlap(matrix, support) / (own * norm + self.shrinkage)
        # Powers of small ratios underflow; a row's scale does not change its ranking.
        similarity = similarity / similarity.amax(dim=1, keepdim=True).clamp(min=1e-30)
        return matrix.votes(keep_largest(similarity.pow(self.power), self.neighbors))
