"""Message passing from the support over its items' features to the items that share them."""

from __future__ import annotations

import torch
from torch import Tensor

from graphmeta.encoders.interaction_matrix import InteractionMatrix
from graphmeta.encoders.vote import Vote
from graphmeta.tasks.episode import EpisodeBatch

START = {"overlap": 1.0, "degree": 1.0, "rarity": 0.0, "taste": 1.0, "prior": -2.0}


class ContentVote(Vote):
    """A content-based recommender whose attention over features is learnt: features vote.

    The voters of `Vote` are the binary columns of the items' features, such as genres, brands or
    words; a column's items are those that have a one there. Other columns, and those with fewer
    than two items, have no vote. It needs no neighbours, and so carries items and users that few
    interactions tie to others.

    Args:
        item_x: The items' features.
        k_max: Largest support that training draws.

    Attributes:
        column: The number of every voter's column in `item_x`.

    Shapes:
        item_x: `[n_items, n_features]`.
        column: int64, `[n_voters]`.
    """

    def __init__(self, item_x: Tensor, *, k_max: int = 10) -> None:
        votes = voting_columns(item_x)
        edge_index = item_x[:, votes].T.nonzero().T.contiguous()
        n_voters = int(votes.sum())
        features = InteractionMatrix(edge_index, num_users=n_voters, num_items=len(item_x))
        super().__init__(features, START, k_max=k_max)
        self.register_buffer("column", votes.nonzero().flatten(), persistent=False)

    column: Tensor

    def own_of(self, episodes: EpisodeBatch) -> Tensor:
        """Return -1: no user is a voter here."""
        return torch.full_like(episodes.own_user, -1)

    def voters_of(self, episodes: EpisodeBatch) -> None:
        """Return nothing: all features vote."""


def voting_columns(item_x: Tensor) -> Tensor:
    """Return which features vote: the binary ones of two items or more.

    Shapes:
        item_x: `[n_items, n_features]`.
        output: bool, `[n_features]`.
    """
    is_binary = ((item_x == 0) | (item_x == 1)).all(0)
    return is_binary & (item_x.sum(0) > 1)
