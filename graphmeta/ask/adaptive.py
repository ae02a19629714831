"""Questions that follow from the answers so far: likely known, and telling."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.ask.questions import Answers, Questions
from graphmeta.data.scipy_matrix import to_scipy
from graphmeta.data.spectrum import right_singular

N_FACTORS = 32
# Added to variances: factors that no user varies in, items that all users have.
LEAST = 1e-4
LEAST_NOISE = 1e-2
# Numbers of users times items times factors held at once: 64 MiB.
NUMBERS_AT_ONCE = 2**24


class AdaptiveQuestions(Questions):
    """Asks for the largest product of knowing and information under a ridge posterior.

    A user's answers y are `y_i = f_i . z + noise` with a Gaussian z whose mean and covariance are
    those of the training users in the factors f, the leading singular directions of the
    interactions. Every answer, a "don't know" as well, makes the posterior of z narrower, a ridge
    regression in closed form. With S its covariance, an item is worth

        P(known_i)^power * (f_i' S G S f_i) / (noise_i + f_i' S f_i),    G = sum over j of f_j f_j'

    whose second factor is how much the answer is expected to shrink the variance of all items
    (A-optimal design; Cohn, Ghahramani and Jordan, JAIR 1996).

    Args:
        graph: The training graph.
        n_factors: How many factors; fewer where there are fewer users.
        power: How much knowing counts, 0 for information alone.
    """

    name: ClassVar[str] = "adaptive"

    def __init__(
        self, graph: HeteroData, *, n_factors: int = N_FACTORS, power: float = 0.5
    ) -> None:
        super().__init__(graph)
        self.power = power
        matrix = to_scipy(graph)
        n_users = matrix.shape[0]
        value, vector = right_singular(matrix, min(n_factors, n_users, self.n_items))
        self.factors = vector * value / n_users**0.5
        share = torch.from_numpy(matrix.sum(0)).float().flatten() / n_users
        # With these factors the users' second moment is the identity.
        self.mean = torch.linalg.lstsq(self.factors, share.unsqueeze(1)).solution.flatten()
        identity = torch.eye(len(self.mean))
        covariance = identity - self.mean.outer(self.mean) + LEAST * identity
        self.precision = torch.linalg.inv(covariance)
        explained = ((self.factors @ covariance) * self.factors).sum(1)
        self.noise = (share * (1 - share) - explained).clamp(min=LEAST_NOISE)
        self.gram = self.factors.T @ self.factors

    def posterior(self, answers: Answers) -> tuple[Tensor, Tensor]:
        """Return the mean and the covariance of each user's z.

        Shapes:
            output: float32, `[n_users, n_factors]` and `[n_users, n_factors, n_factors]`.
        """
        user, item = answers.asked.nonzero().unbind(1)
        weighted = self.factors[item] / self.noise[item].unsqueeze(1)
        precision = self.precision.repeat(len(answers), 1, 1)
        precision = precision.index_add(0, user, weighted.unsqueeze(2) * self.factors[item, None])
        said = answers.known[user, item].float().unsqueeze(1)
        target = (self.precision @ self.mean).repeat(len(answers), 1)
        target = target.index_add(0, user, weighted * said)
        covariance = torch.linalg.inv(precision)
        return (covariance @ target.unsqueeze(2)).squeeze(2), covariance

    def worth(self, answers: Answers) -> Tensor:
        """Return the product for each item."""
        mean, covariance = self.posterior(answers)
        known = (mean @ self.factors.T).clamp(LEAST, 1)
        size = max(1, NUMBERS_AT_ONCE // self.factors.numel())
        shrinks = torch.cat([self._information(block) for block in covariance.split(size)])
        return known**self.power * shrinks

    def _information(self, covariance: Tensor) -> Tensor:
        """Return what each answer is expected to take from the variance; `[n_users, n_items]`."""
        spread = covariance @ self.factors.T  # S f_i in the columns.
        variance = (self.factors.T * spread).sum(1)
        return (spread * (self.gram @ spread)).sum(1) / (self.noise + variance)
