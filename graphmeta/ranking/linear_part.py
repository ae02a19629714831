"""What a linear model of items knows of users who have shown more than training draws."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn
from torch_geometric.data import HeteroData

from graphmeta.data.cold_users import ColdUsers, Support
from graphmeta.data.scipy_matrix import to_scipy
from graphmeta.data.spectrum import right_singular
from graphmeta.ranking.scorer import Scorer
from graphmeta.ranking.surest import surest_way
from graphmeta.tasks.episode import RATES

RIDGES = (1e2, 3.16e2, 1e3, 3.16e3, 1e4)
WEIGHTS = (5.0, 10.0, 20.0, 40.0, 80.0)
# Singular directions of the interactions; on ml-1m as good as all of them.
RANK = 512
# Where the weight is whole: at so many times the support that it begins at.
WHOLE_AT = 10
# Side by side, so that the directions of all that they show fit into memory.
FEW_USERS = 16
# Interactions and items above which their spectrum would take longer than training.
MOST_INTERACTIONS, MOST_ITEMS = 10_000_000, 65_536


def is_small(train: HeteroData) -> bool:
    """Return whether the spectrum of a training graph can be had in reasonable time."""
    n_edges, n_items = train[RATES].edge_index.size(1), int(train["item"].num_nodes)
    return 0 < n_edges <= MOST_INTERACTIONS and n_items <= MOST_ITEMS


class Linear(NamedTuple):
    """What was chosen: the ridge of the linear model, and what its scores are multiplied by."""

    ridge: float
    weight: float


class LinearPart(nn.Module):
    """Scores items by those shown, as EASE does: ridge regression with a zero diagonal.

    Votes and embeddings are learnt from supports of up to ten items; the more a user has shown,
    the more a regression on all of it is worth in comparison. With the singular values s and right
    vectors V of the interactions and `w = s^2 / (s^2 + ridge)`, a user with items x gets
    `weight * x V diag(w) V^T / (1 - V^2 w)` (Steck, WWW 2019; see `baselines.EASE`). That is for
    items not shown: those shown would have their own diagonal taken off, and are never ranked.
    The weight grows with the logarithm of the support's size, from none at `above` items to all of
    it at ten times as many.

    Args:
        vector: Right singular vectors of the interactions.
        squared: The square of the singular value of each.
        chosen: The ridge, and what the scores are multiplied by.
        above: Users who have shown no more items than these get nothing added.

    Shapes:
        vector: float32, `[n_items, rank]`.
        squared: float32, `[rank]`.
    """

    def __init__(self, vector: Tensor, squared: Tensor, chosen: Linear, *, above: int) -> None:
        super().__init__()
        self.register_buffer("vector", vector)
        self.register_buffer("squared", squared)
        shrunk = squared / (squared + chosen.ridge)
        self.register_buffer("shrunk", shrunk, persistent=False)
        self.register_buffer(
            "gain", chosen.weight / (1 - vector.square() @ shrunk), persistent=False
        )
        self.chosen, self.above = chosen, above

    vector: Tensor
    squared: Tensor
    shrunk: Tensor
    gain: Tensor

    @classmethod
    def of_graph(
        cls, train: HeteroData, chosen: Linear, *, above: int, device: torch.device
    ) -> Self:
        """Return the linear part of a training graph.

        Args:
            train: The training graph.
            chosen: What `surest_linear` returned.
            above: Users who have shown no more items than these get nothing added.
            device: Where scores are.
        """
        value, vector = right_singular(to_scipy(train), RANK)
        return cls(vector, value.square(), chosen, above=above).to(device)

    def forward(self, support: Support) -> Tensor:
        """Return what is added to each user's scores.

        Args:
            support: What the users have shown; interactions count by their `weight`.

        Shapes:
            output: float32, `[n_users, n_items]`.
        """
        counts = support.mask.float() if support.weight is None else support.weight * support.mask
        shown = self.vector[support.item_index.clamp(min=0)]
        user = torch.einsum("nk,nkr->nr", counts, shown)
        growth = (support.size.clamp(min=1) / self.above).log() / math.log(WHOLE_AT)
        user = user * self.shrunk * growth.clamp(0, 1).unsqueeze(1)
        return user @ self.vector.T * self.gain

    def with_ridge(self, ridge: float) -> LinearPart:
        """Return the part of the same directions with another ridge; these are not copied."""
        chosen = self.chosen._replace(ridge=ridge)
        return LinearPart(self.vector, self.squared, chosen, above=self.above)

    def carried(self, row: Tensor) -> LinearPart:
        """Return the part for another catalogue; of new items it says nothing.

        Args:
            row: Each item's row in this catalogue, -1 where it is new.

        Shapes:
            row: int64, `[n_items]`.
        """
        vector = self.vector[row.clamp(min=0)] * (row >= 0).unsqueeze(1)
        return LinearPart(vector, self.squared, self.chosen, above=self.above)


def surest_linear(
    scorer: Scorer,
    users: ColdUsers,
    train: HeteroData,
    *,
    above: int,
    device: torch.device,
    seed: int,
) -> Linear | None:
    """Return the linear part that surely helps users who are well known; None where none does.

    Args:
        scorer: What it is to be added to.
        users: Validation users who have shown more items than `above` (`shown_more`).
        train: The training graph.
        above: As for `LinearPart`.
        device: Where scores are.
        seed: Breaks ties.
    """
    nothing = Linear(RIDGES[0], 0.0)
    first = LinearPart.of_graph(train, Linear(RIDGES[0], 1.0), above=above, device=device)
    parts = [first, *(first.with_ridge(ridge) for ridge in RIDGES[1:])]

    def scored(support: Support) -> Iterator[tuple[Linear, Tensor]]:
        scores = scorer.score(support)
        yield nothing, scores
        few = [support[rows].to(device) for rows in torch.arange(len(support)).split(FEW_USERS)]
        for ridge, part in zip(RIDGES, parts, strict=True):
            added = torch.cat([part(shown) for shown in few])
            for weight in WEIGHTS:
                yield Linear(ridge, weight), scores + weight * added

    best = surest_way(users, users.k_max, scored, nothing, seed=seed)
    return best if best.weight else None
