"""EASE, the shallow linear auto-encoder."""

from __future__ import annotations

import torch
from torch import Tensor

from graphmeta.data.cold_users import Support
from graphmeta.data.spectrum import right_singular
from graphmeta.ranking.baselines.matrix_scorer import MatrixScorer, check_at_least, check_positive
from graphmeta.ranking.baselines.training_matrix import TrainingMatrix
from graphmeta.ranking.search_space import Axis, SearchSpace

# The full spectrum costs the cube of the smaller side: about 10 s at 4,000.
FULL_SPECTRUM = 6000
TRUNCATED = 1000


class EASE(MatrixScorer):
    """Predicts each item from all others by ridge regression with a zero diagonal.

    With `P = (X^T X + ridge I)^-1` the item weights are `B_ij = -P_ij / P_jj`, `B_jj = 0`, and a
    user with support x gets the scores `x B` (Steck, "Embarrassingly shallow autoencoders for
    sparse data", WWW 2019). At few shots the best ridge is 10 to 100 times the usual one.

    P is never formed. With the singular values s and right vectors V of X,
    `ridge P = I - V diag(w) V^T` where `w = s^2 / (s^2 + ridge)`, so one spectrum serves every
    ridge, through factors of at most `min(n_users, n_items)` columns. Beyond 6,000 on both sides
    the 1,000 largest singular values are kept: a ridge of few-shot size all but removes the
    others.

    Fit-time:

    Args:
        num_factors: Singular values kept; all, or 1,000 of many, where None.

        ridge: Score-time; the regularisation, called lambda in the paper.

    Raises:
        ConfigError: `ridge` is not above 0 or `num_factors` is below 1.
    """

    def __init__(self, *, num_factors: int | None = None, ridge: float = 1e4) -> None:
        check_positive(ridge=ridge)
        if num_factors is not None:
            check_at_least(1, num_factors=num_factors)
        self.num_factors = num_factors
        self.ridge = ridge

    @classmethod
    def search_space(cls) -> SearchSpace:
        """Return the grid of ridges, half a decade apart."""
        ridges = (1e2, 3.16e2, 1e3, 3.16e3, 1e4, 3.16e4, 1e5, 3.16e5, 1e6)
        return SearchSpace(cls, score_time={"ridge": Axis(ridges, extend="geometric")})

    def _fit(self, matrix: TrainingMatrix) -> None:
        rank = self.num_factors
        if rank is None and min(matrix.n_users, matrix.n_items) > FULL_SPECTRUM:
            rank = TRUNCATED
        value, self._vector = right_singular(matrix.by_user, rank)
        self._squared = value.square()

    def _score(self, matrix: TrainingMatrix, support: Support) -> Tensor:
        shrunk = self._squared / (self._squared + self.ridge)
        shown = matrix.support_matrix(support)
        projected = torch.from_numpy(shown @ self._vector.numpy())
        smooth = (projected * shrunk) @ self._vector.T
        diagonal = 1 - self._vector.square() @ shrunk
        x = torch.from_numpy(shown.toarray())
        return x - (x - smooth) / diagonal
