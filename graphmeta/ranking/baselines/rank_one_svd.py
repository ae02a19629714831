"""The non-personalised ranking by the first singular vector."""

from __future__ import annotations

from torch import Tensor

from graphmeta.data.cold_users import Support
from graphmeta.data.spectrum import first_right_singular
from graphmeta.ranking.baselines.matrix_scorer import MatrixScorer
from graphmeta.ranking.baselines.training_matrix import TrainingMatrix
from graphmeta.ranking.search_space import SearchSpace


class RankOneSVD(MatrixScorer):
    """Ranks items by the first right singular vector of the training matrix, for everybody alike.

    The best rank-1 model of the data (PureSVD with one factor; Cremonesi et al., RecSys 2010):
    popularity among active users. A personalised method that does no better has collapsed to it.
    """

    @classmethod
    def search_space(cls) -> SearchSpace:
        """Return a space of one point: there is nothing to tune."""
        return SearchSpace(cls)

    def _fit(self, matrix: TrainingMatrix) -> None:
        self._first = first_right_singular(matrix.by_user)

    def _score(self, matrix: TrainingMatrix, support: Support) -> Tensor:
        return self._first.repeat(len(support), 1)
