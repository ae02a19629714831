"""Ranking by popularity."""

from __future__ import annotations

from torch import Tensor

from graphmeta.data.cold_users import Support
from graphmeta.ranking.baselines.matrix_scorer import MatrixScorer
from graphmeta.ranking.baselines.training_matrix import TrainingMatrix
from graphmeta.ranking.search_space import SearchSpace


class Popularity(MatrixScorer):
    """Ranks items by their number of training users, the same for everybody.

    The strongest ranking that knows nothing of the user (Cremonesi et al., "Performance of
    recommender algorithms on top-N recommendation tasks", RecSys 2010).
    """

    @classmethod
    def search_space(cls) -> SearchSpace:
        """Return a space of one point: there is nothing to tune."""
        return SearchSpace(cls)

    def _score(self, matrix: TrainingMatrix, support: Support) -> Tensor:
        return matrix.log_popularity.repeat(len(support), 1)
