"""iALS: matrix factorisation of implicit feedback by alternating least squares."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from graphmeta.data.cold_users import Support
from graphmeta.data.spectrum import right_singular
from graphmeta.errors import ConfigError
from graphmeta.ranking.baselines.least_squares_factors import FactorSolver
from graphmeta.ranking.baselines.matrix_scorer import MatrixScorer, check_at_least, check_positive
from graphmeta.ranking.baselines.training_matrix import TrainingMatrix
from graphmeta.ranking.search_space import Axis, SearchSpace


class IALS(MatrixScorer):
    """Factorises the training matrix, confident of what was seen; folds new users in exactly.

    The loss over all user-item pairs, with `c_ui = 1 + alpha` where x_ui = 1 and 1 elsewhere, is

        sum_ui c_ui (x_ui - p_u . q_i)^2 + sum_u reg_u |p_u|^2 + sum_i reg_i |q_i|^2

    with `reg_r = regularization * (n_r / mean n) ** frequency_exponent` (Hu et al., "Collaborative
    filtering for implicit feedback datasets", ICDM 2008; the exponent from Rendle et al.,
    "Revisiting the performance of iALS on item recommendation benchmarks", RecSys 2022). Each
    sweep solves all users, then all items, exactly. Factors start from the singular vectors, so
    that no draw is needed and few sweeps do.

    A new user's factor minimises the same loss over the support, with a regularisation of its own
    towards the mean training user or towards zero. At few shots it must be 30 to 100 times that
    of training.

    Fit-time:

    Args:
        num_factors: Length of the factors.
        alpha: Extra confidence in what was seen.
        regularization: Weight of the squared factors.
        frequency_exponent: How much more the factors of frequent users and items are held back.
        sweeps: Alternations.

        fold_in_regularization: Score-time; holds a new user's factor back.
        fold_in_prior: Score-time; towards the "mean" of the training users or "zero".

    Raises:
        ConfigError: A number is out of its range, or the prior is of another kind.
    """

    def __init__(
        self,
        *,
        num_factors: int = 32,
        alpha: float = 8.0,
        regularization: float = 10.0,
        frequency_exponent: float = 0.0,
        sweeps: int = 3,
        fold_in_regularization: float = 100.0,
        fold_in_prior: Literal["mean", "zero"] = "mean",
    ) -> None:
        check_at_least(1, num_factors=num_factors, sweeps=sweeps)
        check_positive(
            alpha=alpha,
            regularization=regularization,
            fold_in_regularization=fold_in_regularization,
        )
        if fold_in_prior not in ("mean", "zero"):
            raise ConfigError(f"fold_in_prior={fold_in_prior!r} must be 'mean' or 'zero'")
        self.num_factors = num_factors
        self.alpha = alpha
        self.regularization = regularization
        self.frequency_exponent = frequency_exponent
        self.sweeps = sweeps
        self.fold_in_regularization = fold_in_regularization
        self.fold_in_prior = fold_in_prior

    @classmethod
    def search_space(cls) -> SearchSpace:
        """Return the grid."""
        return SearchSpace(
            cls,
            fit_time={
                "num_factors": Axis((8, 16, 32, 64), extend="geometric", low=1, high=1024),
                "regularization": Axis((10.0, 31.6, 100.0, 316.0), extend="geometric"),
                "frequency_exponent": Axis((0.0, 0.5, 1.0), extend="linear"),
                "alpha": Axis((2.0, 4.0, 8.0, 16.0), extend="geometric"),
            },
            score_time={
                "fold_in_regularization": Axis(
                    (10.0, 31.6, 100.0, 316.0, 1000.0, 3160.0), extend="geometric", start=100.0
                ),
                "fold_in_prior": Axis(("zero", "mean")),
            },
        )

    def _fit(self, matrix: TrainingMatrix) -> None:
        rank = min(self.num_factors, *matrix.by_user.shape)
        value, vector = right_singular(matrix.by_user, rank)
        item = vector * value.sqrt()
        user_reg = self._regularization_of(matrix.user_count)
        item_reg = self._regularization_of(matrix.item_count)
        for _ in range(self.sweeps):
            user = FactorSolver(item).solve(
                matrix.by_user, alpha=self.alpha, regularization=user_reg
            )
            item = FactorSolver(user).solve(
                matrix.by_item, alpha=self.alpha, regularization=item_reg
            )
        self._item_factors = item
        self._fold_in = FactorSolver(item)
        self._user_mean = user.mean(dim=0)

    def _regularization_of(self, count: Tensor) -> Tensor:
        share = count.clamp(min=1) / count.mean()
        return self.regularization * share.pow(self.frequency_exponent)

    def _score(self, matrix: TrainingMatrix, support: Support) -> Tensor:
        user = self._fold_in.solve(
            matrix.support_matrix(support),
            alpha=self.alpha,
            regularization=torch.full((len(support),), self.fold_in_regularization),
            prior=self._user_mean if self.fold_in_prior == "mean" else None,
        )
        return user @ self._item_factors.T
