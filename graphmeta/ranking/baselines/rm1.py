"""RM1, the relevance language model."""

from __future__ import annotations

import torch
from torch import Tensor

from graphmeta.data.cold_users import Support
from graphmeta.ranking.baselines.matrix_scorer import MatrixScorer, check_positive
from graphmeta.ranking.baselines.training_matrix import TrainingMatrix
from graphmeta.ranking.search_space import Axis, SearchSpace


class RM1(MatrixScorer):
    """Averages the training users' item distributions under their posterior given the support.

    Each training user v is a language model with Dirichlet smoothing towards the catalogue,
    `P(i|v) = (x_vi + mu p_i) / (n_v + mu)`, `p_i` the share of item i among all interactions. With
    prior `P(v) ~ n_v ** length_exponent`,

        P(v|S) ~ P(v) (product over i in S of P(i|v)) ** sharpness
        P(i|S) = sum_v P(v|S) P(i|v)

    (Lavrenko & Croft, "Relevance-based language models", SIGIR 2001; for recommendation Parapar
    et al., "Relevance-based language modelling for recommender systems", IPM 2013). The posterior
    is a softmax of logarithms, so that long products do not underflow.

    Fit-time: nothing. Score-time:

    Args:
        mu: Weight of the smoothing, in interactions.
        length_exponent: How much the prior prefers users with long histories.
        sharpness: Power of the likelihood; 1 is Bayes' rule.

    Raises:
        ConfigError: `mu` or `sharpness` is not above 0.
    """

    def __init__(
        self, *, mu: float = 0.1, length_exponent: float = 0.0, sharpness: float = 1.0
    ) -> None:
        check_positive(mu=mu, sharpness=sharpness)
        self.mu = mu
        self.length_exponent = length_exponent
        self.sharpness = sharpness

    @classmethod
    def search_space(cls) -> SearchSpace:
        """Return the grid: all of it is score-time."""
        return SearchSpace(
            cls,
            score_time={
                "mu": Axis((0.01, 0.1, 1.0, 10.0, 100.0), extend="geometric", start=0.1),
                "length_exponent": Axis((0.0, 0.5, 1.0, 1.5), extend="linear", start=0.5),
                "sharpness": Axis((0.5, 0.71, 1.0, 1.41), extend="geometric", start=1.0),
            },
        )

    def _score(self, matrix: TrainingMatrix, support: Support) -> Tensor:
        share = matrix.item_count / matrix.item_count.sum()
        # log P(S|v) up to a constant of S: the sum over the shared items of
        # log(1 + 1 / (mu p_i)), less |S| log(n_v + mu). An item that nobody has joins nothing.
        gain = (1 / (self.mu * share.clamp(min=1e-12))).log1p()
        length = matrix.user_count + self.mu
        likelihood = matrix.overlap(support, item_weight=gain)
        likelihood -= support.size.float()[:, None] * length.log()
        prior = self.length_exponent * matrix.user_count.clamp(min=1).log()
        posterior = torch.softmax(self.sharpness * likelihood + prior, dim=1)
        weight = posterior / length
        smoothing = self.mu * weight.sum(dim=1, keepdim=True)
        # Below float32's resolution of a sum, and dropping them allows a sparse product.
        weight = weight.where(weight > 1e-9 * weight.amax(dim=1, keepdim=True), 0.0)
        return matrix.votes(weight) + smoothing * share
