"""From a user's embedding and neighbours to a score for every item of the catalogue."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch_geometric.data import HeteroData

from graphmeta.encoders.item_table import ItemTable
from graphmeta.encoders.neighbor_vote import NeighborVote
from graphmeta.encoders.support_size_curve import SupportSizeCurve
from graphmeta.tasks.episode import EpisodeBatch


class CatalogueHead(nn.Module):
    """Mixes the embedding product, the neighbours' vote and the prior, by support size.

    `score = a log vote + b z . F / sqrt(c) + g log popularity + bias`, where `a`, `b` and `g`
    are learnt functions of the support size (Pure pooling loses what single neighbours know,
    and a vote cannot reach past the users who share an item.) A user without support and
    without features is ranked by the popularity alone.

    Args:
        graph: The training graph.
        channels: Width of the embeddings; the encoder's width in and out.
        seed: Draws what the spectrum of a small graph cannot fill.

    Raises:
        ConfigError: `channels` is not positive.
    """

    def __init__(self, graph: HeteroData, *, channels: int, seed: int = 0) -> None:
        super().__init__()
        self.table = ItemTable(graph, channels=channels, seed=seed)
        self.vote = NeighborVote(graph)
        self.curve = SupportSizeCurve({"vote": 1.0, "product": 0.1, "prior": 0.0})
        self.bias = nn.Parameter(torch.zeros(int(graph["item"].num_nodes)))
        self.feature_weight = nn.Parameter(torch.zeros(()))

    def x_dict(self, episodes: EpisodeBatch) -> dict[str, Tensor]:
        """Return the encoder's inputs; see `ItemTable.forward`."""
        out: dict[str, Tensor] = self.table(episodes)
        return out

    def inner_scores(
        self, z: Float[Tensor, "n c"], episodes: EpisodeBatch
    ) -> Float[Tensor, "n n_items"]:
        """Return the scores that the inner loop learns from: product, prior and bias.

        The vote does not depend on the encoder's weights but for the taste term, and is the
        dear part: the inner loop does without.
        """
        prior = self.vote.popularity(episodes.own_user).log()
        return self._product(z, episodes, self.curve(episodes.support.size)) + prior + self.bias

    def forward(
        self, z: Float[Tensor, "n c"], episodes: EpisodeBatch
    ) -> Float[Tensor, "n n_items"]:
        """Return every item's score for the n episodes' users."""
        size = episodes.support.size
        at = self.curve(size)
        vote, prior = self.vote(z, episodes, self.table.embedding)
        is_shown = (size > 0).unsqueeze(1)
        mixed = at["vote"] * vote + at["prior"] * prior + self.bias
        return torch.where(is_shown, mixed, prior) + self._product(z, episodes, at)

    def _product(self, z: Tensor, episodes: EpisodeBatch, at: dict[str, Tensor]) -> Tensor:
        is_shown = (episodes.support.size > 0).unsqueeze(1)
        weight = torch.where(is_shown, at["product"], self.feature_weight)
        if self.table.user_x is None or episodes.support.user_x is None:
            weight = weight * is_shown
        return weight * self.table.score(z)

    def parameter_groups(self, lr: float) -> list[dict[str, Any]]:
        """Return optimiser groups: scalar curves move ten times as fast as embeddings.

        A curve's few numbers are shared by all users, so that their gradients are steady.
        """
        curves = [*self.vote.parameters(), *self.curve.parameters(), self.feature_weight]
        return [
            {"params": [*self.table.parameters(), self.bias], "lr": lr},
            {"params": curves, "lr": 10 * lr},
        ]
