"""From a user's embedding and neighbours to a score for every item of the catalogue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch_geometric.data import HeteroData

from graphmeta.encoders.at_rest import AtRest
from graphmeta.encoders.content_vote import ContentVote
from graphmeta.encoders.feature_prior import FeaturePrior
from graphmeta.encoders.item_table import ItemTable
from graphmeta.encoders.neighbor_vote import NeighborVote
from graphmeta.encoders.resting_head import RestingHead
from graphmeta.encoders.support_size_curve import SupportSizeCurve
from graphmeta.encoders.vote import Vote
from graphmeta.errors import ConfigError
from graphmeta.tasks.episode import EpisodeBatch

PARTS = ("vote", "content", "product", "prior")


class CatalogueHead(nn.Module):
    """Mixes the embedding product, the neighbours' and the features' votes and the prior.

    `score = a log vote + d log content + b z . F / sqrt(c) + g log popularity + bias +
    FeaturePrior`, where `a`, `b`, `d` and `g` are learnt functions of the support size. (Pure
    pooling loses what single neighbours know, and a vote cannot reach past the users who share an
    item.) Without item features there is no `content`. A user without support is ranked by the
    popularity and the user's features, where there are any.

    Args:
        graph: The training graph.
        channels: Width of the embeddings; the encoder's width in and out.
        seed: Draws what the spectrum of a small graph cannot fill.
        without: Parts of the score to leave out, to see what they are worth: "vote", "content",
            "product" or "prior", which is the popularity and the items' biases. Users without
            support are ranked by the popularity all the same.

    Raises:
        ConfigError: `channels` is not positive, or `without` names no part.
    """

    def __init__(
        self,
        graph: HeteroData,
        *,
        channels: int,
        seed: int = 0,
        without: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.table = ItemTable(graph, channels=channels, seed=seed)
        self.vote = NeighborVote(graph)
        self.content = ContentVote(graph["item"].x) if "x" in graph["item"] else None
        start = {"vote": 1.0, "product": 0.1, "prior": 0.0}
        self.curve = SupportSizeCurve(start if self.content is None else {**start, "content": 0.1})
        self.bias = nn.Parameter(torch.zeros(int(graph["item"].num_nodes)))
        for name in without:
            if name not in PARTS:
                raise ConfigError(f"without={name!r} is no part of the score; known: {PARTS}")
            if name in self.curve.values:
                self.curve.hold(name, 0.0)
        self.bias.requires_grad_("prior" not in without)
        self._resting: AtRest[RestingHead] = AtRest()
        has_features = "x" in graph["user"]
        self.features = (
            FeaturePrior(graph["user"].x, self.vote.interactions) if has_features else None
        )

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
        return self._product(z, episodes) + prior + self.bias

    def forward(
        self, z: Float[Tensor, "n c"], episodes: EpisodeBatch
    ) -> Float[Tensor, "n n_items"]:
        """Return every item's score for the n episodes' users."""
        own = episodes.own_user
        are_new = not bool((own >= 0).any())
        if are_new and not torch.is_grad_enabled():
            scores = self._at_rest()(z, episodes)
        else:
            size = episodes.support.size
            at = self.curve(size)
            popularity = self.vote.popularity(own)
            prior = popularity.log()
            mixed = at["prior"] * prior + self.bias + self._product(z, episodes)
            for name, vote in self._votes().items():
                mixed = mixed + at[name] * vote(z, episodes, self.table.embedding, popularity)
            scores = torch.where((size > 0).unsqueeze(1), mixed, prior)
        if self.features is None or episodes.support.user_x is None:
            return scores
        rows = None if are_new else self.vote.interactions.rows(own)
        return scores + self.features(episodes, rows)

    def _at_rest(self) -> RestingHead:
        modules = [self.table, *self._votes().values()]
        weights = [*(weight for module in modules for weight in module.parameters()), self.bias]
        nobody = torch.full((1,), -1, device=self.bias.device)

        def make() -> RestingHead:
            popularity = self.vote.popularity(nobody)[0]
            return RestingHead(self.table, self._votes(), popularity, self.curve, self.bias)

        return self._resting.get(weights, make)

    def _votes(self) -> dict[str, Vote]:
        """Return the votes by the names of their curves."""
        return {"vote": self.vote, **({} if self.content is None else {"content": self.content})}

    def _product(self, z: Tensor, episodes: EpisodeBatch) -> Tensor:
        product: Tensor = self.table.score(z)
        return self.curve(episodes.support.size)["product"] * product

    def parameter_groups(self, lr: float) -> list[dict[str, Any]]:
        """Return optimiser groups: curves move ten times as fast as weights, items more slowly.

        A curve's few numbers are shared by all users, so that their gradients are steady. An item
        is seen by few users, whose own rows its embedding then remembers.
        """
        mixers: list[nn.Module] = [*self._votes().values(), self.curve]
        mixers += [] if self.features is None else [self.features]
        curves = [parameter for mixer in mixers for parameter in mixer.parameters()]
        items = [self.table.embedding, self.table.output]
        others = [p for p in self.table.parameters() if all(p is not item for item in items)]
        return [
            {"params": items, "lr": 0.3 * lr},
            {"params": [*others, self.bias], "lr": lr},
            {"params": curves, "lr": 10 * lr},
        ]
