"""Ranking at random, which shows the level of chance."""

from __future__ import annotations

import torch
from torch import Tensor

from graphmeta.data.cold_users import Support
from graphmeta.ranking.baselines.matrix_scorer import MatrixScorer
from graphmeta.ranking.baselines.training_matrix import TrainingMatrix
from graphmeta.ranking.search_space import SearchSpace


class Random(MatrixScorer):
    """Scores every item by a random number that depends on the seed and on the user's support.

    The number of item j is a hash of the seed, the support (as a set) and j, so that the same
    support gets the same scores in any batch. For users without a support, who would all share
    one order, the row in the batch takes its place.

    Args:
        seed: Another seed gives other scores.
    """

    def __init__(self, *, seed: int = 0) -> None:
        self.seed = seed

    @classmethod
    def search_space(cls) -> SearchSpace:
        """Return a space of one point: there is nothing to tune."""
        return SearchSpace(cls)

    @torch.no_grad()
    def score(self, support: Support) -> Tensor:
        """Return random numbers in 0 to 1.

        Shapes:
            output: float32, `[n_users, n_items]`.

        Raises:
            DataError: The scorer is not fitted, or a support item is not in the catalogue.
        """
        matrix = self._fitted()
        matrix.check(support)
        return self._score(matrix, support)

    def _score(self, matrix: TrainingMatrix, support: Support) -> Tensor:
        # A padding slot adds 0, so that padding changes nothing; a sum ignores the order.
        user = _mix(support.item_index + 1 + self.seed * 2**20).where(support.mask, 0).sum(1)
        user = user.where(support.size > 0, _mix(-1 - torch.arange(len(support))))
        item = _mix(torch.arange(matrix.n_items) + self.seed * 2**21)
        return (_mix(user[:, None] ^ item) & (2**24 - 1)).float() / 2**24


def _mix(x: Tensor) -> Tensor:
    """Scramble 64-bit integers: the finaliser of SplitMix64 (Steele et al., OOPSLA 2014)."""
    for shift, factor in ((30, -0x40A7B892E31B1A47), (27, -0x6B2FB644ECCEEE15)):
        x = (x ^ _logical_shift(x, shift)) * factor
    return x ^ _logical_shift(x, 31)


def _logical_shift(x: Tensor, bits: int) -> Tensor:
    return (x >> bits) & (2 ** (64 - bits) - 1)
