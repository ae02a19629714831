"""A ridge regression of each user's ratings on factors and features of the items."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data.cold_users import Support
from graphmeta.data.spectrum import right_singular
from graphmeta.errors import DataError
from graphmeta.ranking.baselines.matrix_scorer import check_at_least, check_positive
from graphmeta.ranking.baselines.rating_matrix import RatingMatrix
from graphmeta.ranking.search_space import Axis, SearchSpace


class RatingRidge:
    """Predicts a user's ratings in closed form from the few that the user has given.

    With b the items' biases (`RatingMatrix`), U diag(s) V' the truncated singular value
    decomposition of the training ratings' residuals, `f_i` the rows of `V diag(s)^power` over
    their root mean square norm and `x_i` the items' features over their norm,

        K(i, j) = factors f_i . f_j + content x_i . x_j + level
        y_i     = mean + b_i + K(i, S) (K(S, S) + noise I)^-1 (r_S - mean - b_S)

    for a user who gave the items S the ratings r_S: the posterior mean of a Gaussian process, and
    the ridge head of few-shot learning (Bertinetto et al., "Meta-learning with differentiable
    closed-form solvers", ICLR 2019) on features that do not learn. An item that nobody has rated
    is known by its features. A user without ratings gets the biases.

    Fit-time:

    Args:
        num_factors: Width of the factors.
        shrinkage: How many ratings the features' word on an item counts for.

        power: Score-time; how much more the leading factors count.
        factors: Score-time; variance of what factors tell, in squares of the rating's unit.
        content: Score-time; variance of what features tell.
        level: Score-time; variance of users' own means.
        noise: Score-time; variance of a rating by itself.

    Raises:
        ConfigError: A number is out of its range.
    """

    _ratings: RatingMatrix | None = None

    def __init__(
        self,
        *,
        num_factors: int = 32,
        shrinkage: float = 3.0,
        power: float = 1.0,
        factors: float = 0.1,
        content: float = 0.1,
        level: float = 0.1,
        noise: float = 1.0,
    ) -> None:
        check_at_least(1, num_factors=num_factors)
        check_positive(noise=noise)
        check_at_least(
            0, shrinkage=shrinkage, power=power, factors=factors, content=content, level=level
        )
        self.num_factors = num_factors
        self.shrinkage = shrinkage
        self.power = power
        self.factors = factors
        self.content = content
        self.level = level
        self.noise = noise

    @classmethod
    def search_space(cls) -> SearchSpace:
        """Return the grid; `noise` is fixed, as only the ratios to it count."""
        variance = Axis((0.0, 0.03, 0.1, 0.3), extend="geometric", start=0.1)
        return SearchSpace(
            cls,
            fit_time={
                "shrinkage": Axis((1.0, 3.0, 10.0), extend="geometric", low=0.1, start=3.0),
                "num_factors": Axis((16, 32, 64), extend="geometric", high=512),
            },
            score_time={
                "factors": variance,
                "content": variance,
                "power": Axis((0.0, 0.5, 1.0), start=1.0),
                "level": Axis((0.03, 0.1, 0.3), extend="geometric", low=0.001, high=10.0),
            },
        )

    def fit(self, train: HeteroData) -> Self:
        """Learn from the training graph.

        Raises:
            DataError: The graph has no ratings.
        """
        self._ratings = RatingMatrix(train, shrinkage=self.shrinkage, by_features=True)
        residual = self._ratings.residual
        self._value, self._vector = right_singular(
            residual, min(self.num_factors, min(residual.shape))
        )
        self._x: Tensor | None = None
        if "x" in train["item"]:
            x = train["item"].x
            self._x = x / x.norm(dim=1, keepdim=True).clamp(min=1e-12)
        return self

    @torch.no_grad()
    def score(self, support: Support) -> Tensor:
        """Return every item's predicted rating for each user.

        Shapes:
            output: float32, `[n_users, n_items]`.

        Raises:
            DataError: The scorer is not fitted, or the support has no ratings.
        """
        if self._ratings is None:
            raise DataError("RatingRidge is not fitted; call fit(train) first")
        if support.rating is None:
            raise DataError("RatingRidge needs the ratings of what users have shown")
        features, bias = self._features(), self._ratings.mean + self._ratings.item_bias
        item, mask = support.item_index.clamp(min=0), support.mask
        shown = features[item] * mask.unsqueeze(2)
        gram = shown @ shown.mT + self.noise * torch.eye(item.size(1))
        left = (support.rating - bias[item]) * mask
        weight = shown.mT @ torch.linalg.solve(gram, left.unsqueeze(2))
        return bias + (features @ weight).squeeze(2)

    def _features(self) -> Tensor:
        """Return what is known of each item, scaled so that products are the kernel."""
        factor = self._vector * self._value.pow(self.power)
        factor = factor / factor.square().sum(1).mean().sqrt().clamp(min=1e-12)
        parts = [self.factors**0.5 * factor, torch.full((len(factor), 1), self.level**0.5)]
        if self._x is not None:
            parts.append(self.content**0.5 * self._x)
        return torch.cat(parts, dim=1)
