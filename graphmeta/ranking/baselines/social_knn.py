"""User-based nearest neighbours among whom friends come first."""

from __future__ import annotations

from torch import Tensor

from graphmeta.data.cold_users import Support
from graphmeta.ranking.baselines.friend_popularity import is_linked, linked_users
from graphmeta.ranking.baselines.matrix_scorer import check_at_least, rank_unscored_by_popularity
from graphmeta.ranking.baselines.training_matrix import TrainingMatrix
from graphmeta.ranking.baselines.user_knn import UserKNN
from graphmeta.ranking.search_space import Axis, SearchSpace


class SocialKNN(UserKNN):
    """`UserKNN` to which a linked user counts as if he had more items in common.

    The overlap `o_v` of a training user v to whom the user is linked (`Support.links`) is higher by
    `boost`, and the votes, as shares, are smoothed by the popularity:

        score_j = votes_j / sum over i of votes_i  +  prior * pop_j

    So users who have shown nothing are ranked by their friends' items, and with a boost and a prior
    of 0 it is `UserKNN`. (Links as neighbours: Massa and Avesani, "Trust-aware recommender
    systems", RecSys 2007.)

    Fit-time: nothing. Score-time:

    Args:
        boost: Items in common that a link is worth.
        prior: Weight of the popularity against the votes.
        neighbors: As in `UserKNN`, like all others.
        norm_exponent: How much a long history counts against a neighbour.
        shrinkage: Damps the similarity of users with few items.
        power: Sharpens the differences among neighbours.

    Raises:
        ConfigError: A number is out of its range.
    """

    def __init__(
        self,
        *,
        boost: float = 1.0,
        prior: float = 0.3,
        neighbors: int = 200,
        norm_exponent: float = 0.5,
        shrinkage: float = 10.0,
        power: float = 4.0,
    ) -> None:
        super().__init__(
            neighbors=neighbors, norm_exponent=norm_exponent, shrinkage=shrinkage, power=power
        )
        check_at_least(0, boost=boost, prior=prior)
        self.boost = boost
        self.prior = prior

    @classmethod
    def search_space(cls) -> SearchSpace:
        """Return the grid of `UserKNN` and the two numbers more: all of it is score-time."""
        return SearchSpace(
            cls,
            score_time={
                "boost": Axis((0.0, 0.3, 1.0, 3.0, 10.0), extend="geometric", start=1.0),
                "prior": Axis((0.0, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0), extend="geometric"),
                **super().search_space().score_time,
            },
        )

    def _is_known(self, support: Support) -> Tensor:
        return (support.size > 0) | is_linked(support)

    def _overlap(self, matrix: TrainingMatrix, support: Support) -> Tensor:
        return super()._overlap(matrix, support) + self.boost * linked_users(matrix, support)

    def _score(self, matrix: TrainingMatrix, support: Support) -> Tensor:
        votes = self._votes(matrix, support)
        share = votes / votes.sum(1, keepdim=True).clamp(min=1e-30)
        popularity = matrix.item_count / matrix.item_count.sum()
        return rank_unscored_by_popularity(share + self.prior * popularity, matrix.log_popularity)
