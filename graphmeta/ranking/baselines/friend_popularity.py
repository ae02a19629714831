"""Ranking by what a new user's friends have."""

from __future__ import annotations

import torch
from torch import Tensor

from graphmeta.data.cold_users import Support
from graphmeta.ranking.baselines.matrix_scorer import MatrixScorer, check_at_least
from graphmeta.ranking.baselines.training_matrix import TrainingMatrix
from graphmeta.ranking.search_space import Axis, SearchSpace


class FriendPopularity(MatrixScorer):
    """Ranks items by the linked users who have them, smoothed by the popularity among all.

    With L the training users to whom the user is linked (`Support.links`), `n_v` the number of v's
    items and `pop_j` an item's share of all interactions,

        score_j = sum over v in L who have j of n_v ** -norm_exponent  +  prior * pop_j

    What the user has shown does not matter. Users without links get the popularity. (Massa and
    Avesani, "Trust-aware recommender systems", RecSys 2007, weigh by trust alone.)

    Fit-time: nothing. Score-time:

    Args:
        norm_exponent: How much a long history counts against a friend.
        prior: Votes by popularity.

    Raises:
        ConfigError: `prior` is below 0.
    """

    def __init__(self, *, norm_exponent: float = 0.5, prior: float = 30.0) -> None:
        check_at_least(0, prior=prior)
        self.norm_exponent = norm_exponent
        self.prior = prior

    @classmethod
    def search_space(cls) -> SearchSpace:
        """Return the grid: all of it is score-time."""
        return SearchSpace(
            cls,
            score_time={
                "prior": Axis((1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0), extend="geometric"),
                "norm_exponent": Axis((0.0, 0.25, 0.5, 0.75, 1.0), extend="linear"),
            },
        )

    def _is_known(self, support: Support) -> Tensor:
        return is_linked(support)

    def _score(self, matrix: TrainingMatrix, support: Support) -> Tensor:
        weight = matrix.user_count.clamp(min=1).pow(-self.norm_exponent)
        popularity = matrix.item_count / matrix.item_count.sum()
        return matrix.votes(linked_users(matrix, support) * weight) + self.prior * popularity


def is_linked(support: Support) -> Tensor:
    """Return which users have links; bool, `[n_users]`."""
    if support.links is None:
        return torch.zeros(len(support), dtype=torch.bool)
    return (support.links >= 0).any(1)


def linked_users(matrix: TrainingMatrix, support: Support) -> Tensor:
    """Return ones at the training users to whom each user is linked; `[len(support), n_users]`."""
    out = torch.zeros(len(support), matrix.n_users + 1)
    if support.links is not None:
        out.scatter_(1, support.links.where(support.links >= 0, matrix.n_users), 1.0)
    return out[:, : matrix.n_users]
