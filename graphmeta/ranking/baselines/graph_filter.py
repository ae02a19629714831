"""A linear graph filter of the GF-CF type."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from graphmeta.data.cold_users import Support
from graphmeta.data.spectrum import right_singular
from graphmeta.ranking.baselines.matrix_scorer import MatrixScorer, check_at_least
from graphmeta.ranking.baselines.training_matrix import TrainingMatrix
from graphmeta.ranking.search_space import Axis, SearchSpace


class GraphFilter(MatrixScorer):
    """Smooths a user's support over the item-item graph, by one step and by an ideal low pass.

    With user degrees `D_U`, item degrees `D_I` and the normalised matrix
    `N = D_U^-user_exponent X D_I^-item_exponent`, whose largest right singular vectors are V,

        scores(x) = x N^T N + low_pass_weight * x D_I^-item_exponent V V^T D_I^item_exponent

    (Shen et al., "How powerful is graph convolution for recommendation?", CIKM 2021, where both
    exponents are 0.5). The two parts are scaled to the same mean square over items for each user,
    so that the weight means the same at every support size.

    Fit-time:

    Args:
        user_exponent: How much a long history counts against a training user.
        item_exponent: How much popularity counts against an item.
        max_factors: Singular vectors computed.

        num_factors: Score-time; those that the low pass keeps, at most `max_factors`.
        low_pass_weight: Score-time; the weight of the low pass.

    Raises:
        ConfigError: A number of factors is below 1 or `low_pass_weight` below 0.
    """

    def __init__(
        self,
        *,
        user_exponent: float = 0.5,
        item_exponent: float = 0.25,
        max_factors: int = 512,
        num_factors: int = 32,
        low_pass_weight: float = 1.0,
    ) -> None:
        check_at_least(1, max_factors=max_factors, num_factors=num_factors)
        check_at_least(0, low_pass_weight=low_pass_weight)
        self.user_exponent = user_exponent
        self.item_exponent = item_exponent
        self.max_factors = max_factors
        self.num_factors = num_factors
        self.low_pass_weight = low_pass_weight

    @classmethod
    def search_space(cls) -> SearchSpace:
        """Return the grid; exponents are fit-time."""
        return SearchSpace(
            cls,
            fit_time={
                "item_exponent": Axis((0.0, 0.25, 0.5), extend="linear"),
                "user_exponent": Axis((0.0, 0.25, 0.5), extend="linear"),
            },
            score_time={
                "low_pass_weight": Axis((0.0, 0.1, 0.316, 1.0, 3.16), extend="geometric"),
                "num_factors": Axis((8, 16, 32, 64), extend="geometric", low=1, high=512),
            },
        )

    def _fit(self, matrix: TrainingMatrix) -> None:
        user_scale = matrix.user_count.clamp(min=1).pow(-self.user_exponent).numpy()
        item_scale = matrix.item_count.clamp(min=1).pow(-self.item_exponent)
        normalised = sp.diags(user_scale) @ matrix.by_user @ sp.diags(item_scale.numpy())
        self._normalised: sp.csr_matrix = normalised.tocsr().astype(np.float32)
        self._transposed: sp.csr_matrix = self._normalised.T.tocsr()
        self._item_scale = item_scale
        rank = min(self.max_factors, *matrix.by_user.shape)
        self._vector = right_singular(self._normalised, rank)[1]

    def _score(self, matrix: TrainingMatrix, support: Support) -> Tensor:
        shown = matrix.support_matrix(support)
        neighbours = (shown @ self._transposed).toarray()
        step = torch.from_numpy(np.ascontiguousarray((self._transposed @ neighbours.T).T))
        if self.low_pass_weight == 0:
            return step
        vector = self._vector[:, : self.num_factors]
        shown.data = self._item_scale.numpy()[shown.indices]
        low_pass = torch.from_numpy(shown @ vector.numpy()) @ vector.T / self._item_scale
        return _unit(step) + self.low_pass_weight * _unit(low_pass)


def _unit(scores: Tensor) -> Tensor:
    """Scale each row to a mean square of 1."""
    size: Tensor = scores.square().mean(dim=1, keepdim=True).sqrt()
    return scores / size.clamp(min=1e-12)
