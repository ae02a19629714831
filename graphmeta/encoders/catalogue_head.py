"""From a user's embedding and neighbours to a score for every item of the catalogue."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import reduce
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch_geometric.data import HeteroData

from graphmeta.data.links import has_links
from graphmeta.encoders.at_rest import AtRest
from graphmeta.encoders.content_vote import ContentVote
from graphmeta.encoders.feature_prior import FeaturePrior
from graphmeta.encoders.item_table import ItemStart, ItemTable
from graphmeta.encoders.neighbor_vote import NeighborVote
from graphmeta.encoders.resting_head import RestingHead
from graphmeta.encoders.social_vote import SocialVote
from graphmeta.encoders.support_size_curve import SupportSizeCurve
from graphmeta.encoders.vote import Vote
from graphmeta.errors import ConfigError
from graphmeta.tasks.episode import EpisodeBatch
from graphmeta.tasks.sampled_items import sampler_for

# A catalogue above this size is ranked without scoring all of it; below, the product is faster.
PRUNED_ABOVE = 2**18
PARTS = ("vote", "content", "product", "prior", "social", "linear")


class CatalogueHead(nn.Module):
    """Mixes the embedding product, the neighbours' and the features' votes and the prior.

    `score = a log vote + d log content + b z . F / sqrt(c) + g log popularity + bias +
    FeaturePrior + SocialVote`, where `a`, `b`, `d` and `g` are learnt functions of the support
    size. (Pure pooling loses what single neighbours know, and a vote cannot reach past the users
    who share an item.) Without item features there is no `content`. A user without support is
    ranked by the popularity and the user's features and links, where there are any.

    Args:
        graph: The training graph.
        channels: Width of the embeddings; the encoder's width in and out.
        item_start: Where the item embeddings start (`ItemTable`).
        k_max: Largest support that training draws; what is learnt per support size is so up to it.
        seed: Draws the item embeddings' first numbers.
        without: Parts of the score to leave out, to see what they are worth: "vote", "content",
            "product", "social" or "prior", which is the popularity and the items' biases. Users
            without support are ranked by the popularity all the same. "linear" is no part of the
            head but of what a recommender adds to it (`LinearPart`).

    Attributes:
        pruned_above: Number of items above which not all of the catalogue need be scored.
        query_weight: What training weighs query items by, `[n_items]`; None for all alike.

    Raises:
        ConfigError: `channels` is not positive, or `without` names no part.
    """

    def __init__(
        self,
        graph: HeteroData,
        *,
        channels: int,
        item_start: ItemStart = "spectral",
        k_max: int = 10,
        seed: int = 0,
        without: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.table = ItemTable(graph, channels=channels, start=item_start, seed=seed)
        self.k_max = k_max
        self.vote = NeighborVote(graph, k_max=k_max)
        item_x = graph["item"].x if "x" in graph["item"] else None
        self.content = None if item_x is None else ContentVote(item_x, k_max=k_max)
        start = {"vote": 1.0, "product": 0.1, "prior": 0.0}
        start = start if self.content is None else {**start, "content": 0.1}
        self.curve = SupportSizeCurve(start, k_max=k_max)
        self.bias = nn.Parameter(torch.zeros(int(graph["item"].num_nodes)))
        for name in without:
            if name not in PARTS:
                raise ConfigError(f"without={name!r} is no part of the score; known: {PARTS}")
            if name in self.curve.values:
                self.curve.hold(name, 0.0)
        self.bias.requires_grad_("prior" not in without)
        sampler = sampler_for(self.vote.item_degree, None)
        drawn = None if sampler is None else sampler.draw(torch.Generator().manual_seed(seed))
        for name, value in (
            ("drawn", None if drawn is None else drawn.item),
            ("drawn_log_weight", None if drawn is None else drawn.log_weight),
        ):
            self.register_buffer(name, value, persistent=False)
        self.register_buffer("query_weight", None, persistent=False)
        self.pruned_above = PRUNED_ABOVE
        self._resting: AtRest[RestingHead] = AtRest()
        has_features = "x" in graph["user"]
        self.features = (
            FeaturePrior(graph["user"].x, self.vote.interactions, k_max=k_max)
            if has_features
            else None
        )
        self.social = SocialVote(self.vote, k_max=k_max) if has_links(graph) else None
        if self.social is not None and "social" in without:
            self.social.leave_out()

    drawn: Tensor | None
    drawn_log_weight: Tensor | None
    query_weight: Tensor | None

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

    def inner_log_share(
        self, z: Float[Tensor, "n c"], episodes: EpisodeBatch, item: Int[Tensor, "n m"]
    ) -> Float[Tensor, "n m"]:
        """Return the log-softmax of `inner_scores` at some items of each episode.

        Beyond 50,000 items the sum over the catalogue is estimated from items drawn once
        (`SampledItems`; Bengio and Senécal, 2008). The item itself counts exactly.
        """
        if self.drawn is None or self.drawn_log_weight is None:
            return self.inner_scores(z, episodes).log_softmax(1).gather(1, item)
        own, drawn = episodes.own_user, self.drawn.unsqueeze(0)
        output = nn.functional.embedding(item, self.table.output)
        product = (output @ z.unsqueeze(2)).squeeze(2)
        scale = self.curve(episodes.support.size)["product"] * self.table.channels**-0.5
        scores = scale * product + self.vote.popularity_at(own, item).log() + self.bias[item]
        others = scale * (z @ nn.functional.embedding(self.drawn, self.table.output).T)
        others = others + self.vote.popularity_at(own, drawn).log() + self.bias[self.drawn]
        is_same = drawn.unsqueeze(1) == item.unsqueeze(2)
        rest = (others + self.drawn_log_weight).unsqueeze(1).masked_fill(is_same, -math.inf)
        return scores - torch.logaddexp(scores, rest.logsumexp(2))

    def forward(
        self,
        z: Float[Tensor, "n c"],
        episodes: EpisodeBatch,
        items: Int[Tensor, " m"] | None = None,
    ) -> Float[Tensor, "n m"]:
        """Return every item's score for the n episodes' users, or some items'.

        Args:
            z: Embeddings of the users.
            episodes: The users.
            items: The only items to score, distinct and ascending; None for the catalogue.
        """
        own = episodes.own_user
        are_new = not bool((own >= 0).any())
        if are_new and items is None and not torch.is_grad_enabled():
            scores = self.at_rest()(z, episodes)
        else:
            popularity = self.vote.popularity(own, items)
            parts = self._parts(z, episodes, popularity, items)
            scores = reduce(torch.add, (part for _, part in parts))
            is_shown = (episodes.support.size > 0).unsqueeze(1)
            if not bool(is_shown.all()):
                scores = torch.where(is_shown, scores, popularity.log())
        if self.features is not None and episodes.support.user_x is not None:
            rows = None if are_new else self.vote.interactions.rows(own, items)
            scores = scores + self.features(episodes, rows, items)
        social = self._social(z, episodes, items)
        return scores if social is None else scores + social

    def prunes(self, episodes: EpisodeBatch) -> bool:
        """Return whether `at_rest().best` is to rank these users.

        It is for new users of a catalogue of more than `pruned_above` items, where voters are
        sampled, items have no features that vote, and users none.
        """
        has_features = self.features is not None and episodes.support.user_x is not None
        return (
            len(self.bias) > self.pruned_above
            and not has_features
            and not self._is_linked(episodes)
            and not bool((episodes.own_user >= 0).any())
            and all(vote.voters_of(episodes) is not None for vote in self.votes().values())
        )

    def parts(
        self, z: Float[Tensor, "n c"], episodes: EpisodeBatch
    ) -> dict[str, Float[Tensor, "n n_items"]]:
        """Return what the scores of `forward` are the sum of: "prior", "product" and the others.

        A user without support has a "prior" alone, the popularity; users with features have
        "features" as well, and users with links "social".
        """
        own = episodes.own_user
        popularity = self.vote.popularity(own)
        is_shown = (episodes.support.size > 0).unsqueeze(1)
        parts = {n: p.where(is_shown, 0.0) for n, p in self._parts(z, episodes, popularity)}
        parts["prior"] = parts["prior"].where(is_shown, popularity.log())
        if self.features is not None and episodes.support.user_x is not None:
            rows = self.vote.interactions.rows(own) if bool((own >= 0).any()) else None
            parts["features"] = self.features(episodes, rows)
        social = self._social(z, episodes)
        return parts if social is None else {**parts, "social": social}

    def _parts(
        self, z: Tensor, episodes: EpisodeBatch, popularity: Tensor, items: Tensor | None = None
    ) -> Iterator[tuple[str, Tensor]]:
        """Yield the weighted parts of the scores of users who have shown something."""
        at = self.curve(episodes.support.size)
        bias = self.bias if items is None else self.bias.gather(0, items)
        yield "prior", at["prior"] * popularity.log() + bias
        yield "product", self._product(z, episodes, items)
        for name, vote in self.votes().items():
            yield name, at[name] * vote(z, episodes, self.table.embedding, popularity, items)

    def _is_linked(self, episodes: EpisodeBatch) -> bool:
        links = episodes.support.links
        return self.social is not None and links is not None and bool((links >= 0).any())

    def _social(
        self, z: Tensor, episodes: EpisodeBatch, items: Tensor | None = None
    ) -> Tensor | None:
        """Return what the links add to the scores; None where nobody has any."""
        links = episodes.support.links
        if self.social is None or links is None or not self._is_linked(episodes):
            return None
        popularity = self.vote.popularity(episodes.own_user, items)
        social: Tensor = self.social(
            z, episodes, links, self.vote, self.table.embedding, popularity, items
        )
        return social

    def at_rest(self) -> RestingHead:
        """Return the head for new users, made once for weights that do not change."""
        modules = [self.table, *self.votes().values()]
        weights = [*(weight for module in modules for weight in module.parameters()), self.bias]
        nobody = torch.full((1,), -1, device=self.bias.device)

        def make() -> RestingHead:
            popularity = self.vote.popularity(nobody)[0]
            return RestingHead(self.table, self.votes(), popularity, self.curve, self.bias)

        return self._resting.get(weights, make)

    def votes(self) -> dict[str, Vote]:
        """Return the votes by the names of their curves."""
        return {"vote": self.vote, **({} if self.content is None else {"content": self.content})}

    def _product(self, z: Tensor, episodes: EpisodeBatch, items: Tensor | None = None) -> Tensor:
        weight = self.curve(episodes.support.size)["product"]
        product: Tensor = self.table.score(weight * z, items)
        return product

    def parameter_groups(self, lr: float) -> list[dict[str, Any]]:
        """Return optimiser groups: curves move ten times as fast as weights, items more slowly.

        A curve's few numbers are shared by all users, so that their gradients are steady. An item
        is seen by few users, whose own rows its embedding then remembers.
        """
        mixers: list[nn.Module] = [*self.votes().values(), self.curve]
        mixers += [part for part in (self.features, self.social) if part is not None]
        curves = [parameter for mixer in mixers for parameter in mixer.parameters()]
        items = [self.table.embedding, self.table.output]
        others = [p for p in self.table.parameters() if all(p is not item for item in items)]
        return [
            {"params": items, "lr": 0.3 * lr},
            {"params": [*others, self.bias], "lr": lr},
            {"params": curves, "lr": 10 * lr},
        ]
