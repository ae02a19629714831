"""What is known of a user before the first interaction."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from graphmeta.encoders.interaction_matrix import InteractionMatrix
from graphmeta.encoders.support_size_curve import SupportSizeCurve
from graphmeta.tasks.episode import EpisodeBatch

# Held firm by as much as this many users, of each feature and of each item's rate.
RIDGE = 100.0
SMOOTHING = 10.0
# No item becomes rarer than this by its users' features; a linear rate can fall below zero.
LOWEST_LIFT = 0.1


class FeaturePrior(nn.Module):
    """How much likelier an item is among users with the features of this one.

    The rate of item j, the share of users who interact with it, is a ridge regression on the
    user features x, `r_j(x) = r_j + (x - mean) . C_j`, in closed form from the training users.
    Scores gain `w log((r_j(x) + s) / (r_j + s))`. The weight `w` is learnt per support size: the
    more a user has shown, the less the features say. A training user's own row is taken out of
    the regression (by its leave-one-out identity), users without features get nothing.

    Args:
        user_x: The training users' features.
        interactions: The training matrix.
        k_max: Largest support that training draws.

    Shapes:
        user_x: float32, `[n_users, n_features]`.
    """

    def __init__(self, user_x: Tensor, interactions: InteractionMatrix, *, k_max: int = 10) -> None:
        super().__init__()
        mean = user_x.mean(0)
        centred = user_x - mean
        gram = centred.T @ centred + RIDGE * torch.eye(user_x.size(1))
        inverse = torch.linalg.inv(gram.double()).float()
        everyone = torch.ones(1, user_x.size(0))
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("inverse", inverse, persistent=False)
        self.register_buffer(
            "coefficient", inverse @ interactions.to_items(centred.T.contiguous()), persistent=False
        )
        self.register_buffer(
            "rate", interactions.to_items(everyone)[0] / user_x.size(0), persistent=False
        )
        self.smoothing = SMOOTHING / user_x.size(0)
        self.curve = SupportSizeCurve({"lift": 0.5}, k_max=k_max)
        self.alone = nn.Parameter(torch.ones(()))

    mean: Tensor
    inverse: Tensor
    coefficient: Tensor
    rate: Tensor

    def forward(
        self,
        episodes: EpisodeBatch,
        own_rows: Float[Tensor, "n m"] | None = None,
        items: Int[Tensor, " m"] | None = None,
    ) -> Float[Tensor, "#n m"]:
        """Return what the features add to the scores of the n episodes' users.

        Args:
            episodes: The users.
            own_rows: The interactions of those who are training users, zero for others.
            items: The only items to score; None for the catalogue.
        """
        support = episodes.support
        if support.user_x is None:
            return self.rate.new_zeros(1, len(self.rate) if items is None else len(items))
        weight = torch.where(
            (support.size > 0).unsqueeze(1), self.curve(support.size)["lift"], self.alone
        )
        return weight * self.log_lift(support.user_x, episodes.own_user, own_rows, items)

    def log_lift(
        self,
        user_x: Float[Tensor, "n f"],
        own_user: Tensor,
        own_rows: Float[Tensor, "n m"] | None,
        items: Int[Tensor, " m"] | None = None,
    ) -> Float[Tensor, "n m"]:
        """Return the logarithm of each item's rate among such users over its rate among all."""
        coefficient, rate = self.coefficient, self.rate
        if items is not None:
            coefficient, rate = coefficient[:, items], rate[items]
        centred = user_x - self.mean
        change = centred @ coefficient
        if own_rows is not None:
            is_own = (own_user >= 0).unsqueeze(1)
            leverage = ((centred @ self.inverse) * centred).sum(1, keepdim=True) * is_own
            change = (change - leverage * (own_rows - rate)) / (1 - leverage)
        smoothed = rate + self.smoothing
        return ((smoothed + change) / smoothed).clamp(min=LOWEST_LIFT).log()
