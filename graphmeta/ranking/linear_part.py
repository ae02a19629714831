"""What a linear model of items knows of users who have shown more than training draws."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
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
    """What was chosen: the ridge of the linear model, and what its scores are multiplied by.

    Users who have shown no more than `above` items get nothing added.
    """

    ridge: float
    weight: float
    above: int


class LinearPart(nn.Module):
    """Scores items by those shown, as EASE does: ridge regression with a zero diagonal.

    Votes and embeddings are learnt from supports of up to ten items; the more a user has shown,
    the more a regression on all of it is worth in comparison. With the singular values s and right
    vectors V of the interactions and `w = s^2 / (s^2 + ridge)`, a user with items x gets
    `weight * x V diag(w) V^T / (1 - V^2 w)` (Steck, WWW 2019; see `baselines.EASE`). That is for
    items not shown: those shown would have their own diagonal taken off, and are never ranked.
    The weight grows with the logarithm of the support's size, from none at `above` items to all of
    it at ten times as many; it is whole at once where `above` is 0.

    Args:
        vector: Right singular vectors of the interactions.
        squared: The square of the singular value of each.
        chosen: The ridge, what the scores are multiplied by, and for whom.
        scale: What the interactions with each item were multiplied by before, where they were.

    Shapes:
        vector: float32, `[n_items, rank]`.
        squared: float32, `[rank]`.
        scale: float32, `[n_items]`, above 0.
    """

    def __init__(
        self, vector: Tensor, squared: Tensor, chosen: Linear, *, scale: Tensor | None = None
    ) -> None:
        super().__init__()
        self.register_buffer("vector", vector)
        self.register_buffer("squared", squared)
        self.register_buffer("scale", scale)
        shrunk = squared / (squared + chosen.ridge)
        self.register_buffer("shrunk", shrunk, persistent=False)
        gain = chosen.weight / (1 - vector.square() @ shrunk)
        gain = gain if scale is None else gain / scale
        self.register_buffer("gain", gain, persistent=False)
        self.chosen = chosen

    vector: Tensor
    squared: Tensor
    scale: Tensor | None
    shrunk: Tensor
    gain: Tensor

    @classmethod
    def of_graph(cls, train: HeteroData, chosen: Linear, *, device: torch.device) -> Self:
        """Return the linear part of a training graph.

        Args:
            train: The training graph.
            chosen: What `surest_linear` returned.
            device: Where scores are.
        """
        value, vector = right_singular(to_scipy(train), RANK)
        return cls(vector, value.square(), chosen).to(device)

    def forward(self, support: Support) -> Tensor:
        """Return what is added to each user's scores.

        Args:
            support: What the users have shown; interactions count by their `weight`.

        Shapes:
            output: float32, `[n_users, n_items]`.
        """
        item = support.item_index.clamp(min=0)
        counts = support.mask.float() if support.weight is None else support.weight * support.mask
        counts = counts if self.scale is None else counts * self.scale[item]
        user = torch.einsum("nk,nkr->nr", counts, self.vector[item]) * self.shrunk
        if above := self.chosen.above:
            growth = (support.size.clamp(min=1) / above).log() / math.log(WHOLE_AT)
            user = user * growth.clamp(0, 1).unsqueeze(1)
        return user @ self.vector.T * self.gain

    def with_chosen(self, chosen: Linear) -> LinearPart:
        """Return the part of the same directions with another choice; these are not copied."""
        return LinearPart(self.vector, self.squared, chosen, scale=self.scale)

    def carried(self, row: Tensor) -> LinearPart:
        """Return the part for another catalogue; of new items it says nothing.

        Args:
            row: Each item's row in this catalogue, -1 where it is new.

        Shapes:
            row: int64, `[n_items]`.
        """
        known = row.clamp(min=0)
        vector = self.vector[known] * (row >= 0).unsqueeze(1)
        scale = None if self.scale is None else self.scale[known]
        return LinearPart(vector, self.squared, self.chosen, scale=scale)


def surest_linear(
    scorer: Scorer,
    users: ColdUsers,
    sizes: Sequence[int],
    part: LinearPart,
    *,
    seed: int,
) -> Linear | None:
    """Return the linear part that surely helps validation users; None where none does.

    Args:
        scorer: What it is to be added to.
        users: Validation users.
        sizes: What they show, more than `above` items.
        part: The directions, and for whom the part is; the rest of its choice does not count.
        seed: Breaks ties.
    """
    above = part.chosen.above
    nothing = Linear(RIDGES[0], 0.0, above)
    parts = [part.with_chosen(Linear(ridge, 1.0, above)) for ridge in RIDGES]

    def scored(support: Support) -> Iterator[tuple[Linear, Tensor]]:
        scores = scorer.score(support)
        yield nothing, scores
        rows = torch.arange(len(support)).split(FEW_USERS)
        few = [support[some].to(scores.device) for some in rows]
        for ridge, whole in zip(RIDGES, parts, strict=True):
            added = torch.cat([whole(shown) for shown in few])
            for weight in WEIGHTS:
                yield Linear(ridge, weight, above), scores + weight * added

    best = surest_way(users, sizes, scored, nothing, seed=seed)
    return best if best.weight else None
