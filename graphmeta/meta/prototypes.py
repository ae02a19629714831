"""A user's prototype in a learnt metric space, and items ranked by closeness to it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from graphmeta.encoders.at_rest import AtRest
from graphmeta.encoders.catalogue_head import CatalogueHead
from graphmeta.encoders.support_size_curve import SupportSizeCurve
from graphmeta.errors import ConfigError
from graphmeta.meta.head_width import refuse_other_width
from graphmeta.meta.learner import USER, FastWeights, Learner
from graphmeta.meta.query_loss import shown_among
from graphmeta.tasks.episode import EpisodeBatch
from graphmeta.tasks.sampled_items import SampledItems

PROTOTYPE = "prototype"


class Prototypes(Learner):
    """Adds to the head's score how close an item lies to the mean of the user's items.

    Snell, Swersky and Zemel, "Prototypical networks for few-shot learning", NeurIPS 2017. With F
    the items' output embeddings, c wide, M a learnt linear map that starts at the identity, and
    z the encoder's embedding of a user with support S of size k,

        p = mean_{i in S} M F_i
        score_j = head(z)_j + w(k) / c (2 p . M F_j - |M F_j|^2)

    The bracket is `-|M F_j - p|^2` less what is the same for all items: the squared Euclidean
    distance of the paper as one matrix product and an item bias. The curve `w` starts small.
    A user without support is scored by the head.

    Departures: a class here is a user, whose query are items and not the other way round, so
    that the softmax runs over items; and the closeness adds to the head's score.

    A `metric_loss` pulls prototypes to the user's query items and away from those of others in
    the batch, also where the whole-catalogue softmax has little to say. It is any loss of
    pytorch-metric-learning that takes references: it is called as `metric_loss(embeddings,
    labels, ref_emb=..., ref_labels=...)`, with the users' prototypes as anchors, a few embedded
    query items of each as references, and the user's row in the batch as label. An item that
    others like too counts as theirs alone: the usual error of negatives from the batch.

    Args:
        encoder: Any module with `forward(x_dict, edge_index_dict) -> {type: Tensor}`.
        channels: Width of the head's embeddings.
        metric_loss: Added to the outer loss of adapted users, or None.
        metric_weight: Weight of `metric_loss`.
        n_references: Query items drawn per user, with replacement, for `metric_loss`.
        is_batched: As in `Learner`.

    Raises:
        ConfigError: A number is out of its range.
    """

    def __init__(
        self,
        encoder: nn.Module,
        *,
        channels: int,
        metric_loss: nn.Module | None = None,
        metric_weight: float = 0.1,
        n_references: int = 4,
        is_batched: bool = True,
    ) -> None:
        super().__init__(encoder, is_batched=is_batched)
        if min(channels, n_references) < 1:
            raise ConfigError(
                f"channels={channels} and n_references={n_references} must be at least 1"
            )
        if not metric_weight >= 0:
            raise ConfigError(f"metric_weight={metric_weight} must be 0 or more")
        self.channels, self.n_references = channels, n_references
        self.metric_loss, self.metric_weight = metric_loss, metric_weight
        self._items: AtRest[tuple[Tensor, Tensor]] = AtRest()
        self.metric = nn.Linear(channels, channels, bias=False)
        nn.init.eye_(self.metric.weight)
        self.curve = SupportSizeCurve({"closeness": 0.01})

    def adapt(
        self,
        episodes: EpisodeBatch,
        head: CatalogueHead,
        *,
        generator: torch.Generator | None = None,
    ) -> FastWeights:
        """Return each user's embedding and prototype; the latter is zero without support.

        Shapes:
            output: `user` and `prototype`, float32, `[n_episodes, c]`.

        Raises:
            ConfigError: The head's embeddings are not `channels` wide.
        """
        refuse_other_width(head, self.channels)
        z = self._for_head(self.encode(episodes, {}, head.x_dict(episodes)), head)
        support = episodes.support
        shown = self._embed(support.item_index.clamp(min=0), head) * support.mask.unsqueeze(2)
        return {USER: z, PROTOTYPE: shown.sum(1) / support.size.clamp(min=1).unsqueeze(1)}

    def score(
        self,
        episodes: EpisodeBatch,
        fast: FastWeights,
        head: CatalogueHead,
        items: Tensor | None = None,
    ) -> Tensor:
        """Return the catalogue's scores, or some items'; see `Learner.score`."""
        scores = super().score(episodes, fast, head, items)
        if PROTOTYPE not in fast:
            return scores
        if items is None:
            embedded, length = self._items.get(
                [head.table.output, self.metric.weight], lambda: self._embedded(head)
            )
        else:
            embedded, length = self._embedded(head, items)
        closeness = torch.addmm(-length, 2 * fast[PROTOTYPE], embedded.T)
        size = episodes.support.size
        weight = self.curve(size)["closeness"] * (size > 0).unsqueeze(1) / self.channels
        return scores + weight * closeness

    def _embedded(self, head: CatalogueHead, items: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return every item, or some, in the metric space, and its squared length."""
        embedded: Tensor = self.metric(head.table.output_of(items))
        return embedded, embedded.square().sum(1)

    def outer_loss(
        self,
        episodes: EpisodeBatch,
        head: CatalogueHead,
        seen: Tensor,
        *,
        is_adapted: bool,
        sampled: SampledItems | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Return the `query_loss`, plus the weighted `metric_loss` where users are adapted.

        Args:
            episodes: Training users, each with some of the own items as support.
            head: Embeds the nodes and scores the catalogue.
            seen: Each user's whole row; what is not support is the query.
            is_adapted: Score the users after adaptation; otherwise with the shared weights.
            sampled: Items that stand for the catalogue, as `Learner.outer_loss` takes them.
            generator: Draws the references; without it they are spread evenly over the query.

        Shapes:
            seen: float32, `[n_episodes, n_items]`; ones at support and query items.
            output: a number.
        """
        if not is_adapted or self.metric_loss is None:
            return super().outer_loss(
                episodes,
                head,
                seen,
                is_adapted=is_adapted,
                sampled=sampled,
                generator=generator,
            )
        fast = self.adapt(episodes, head, generator=generator)
        loss = self.query_loss(episodes, fast, head, seen, sampled)
        query = seen.masked_fill(shown_among(episodes.support, seen.size(1), sampled), 0.0)
        users = ((episodes.support.size > 0) & (query.sum(1) > 0)).nonzero().squeeze(1)
        if not len(users):
            return loss
        drawn = _draw_items(query[users], self.n_references, generator)
        drawn = drawn if sampled is None else sampled.item[drawn]
        metric_loss: Tensor = self.metric_loss(
            fast[PROTOTYPE][users],
            users,
            ref_emb=self._embed(drawn.flatten(), head),
            ref_labels=users.repeat_interleave(self.n_references),
        )
        return loss + self.metric_weight * metric_loss

    def parameter_groups(self, lr: float) -> list[dict[str, Any]]:
        """Return optimiser groups: the curve moves ten times as fast as the matrices."""
        few = [*self.curve.parameters()]
        known = {id(parameter) for parameter in few}
        rest = [parameter for parameter in self.parameters() if id(parameter) not in known]
        return [{"params": rest, "lr": lr}, {"params": few, "lr": 10 * lr}]

    def _embed(self, item_index: Tensor, head: CatalogueHead) -> Tensor:
        """Return items in the metric space; `[..., c]`."""
        # Not `output[...]`: threads add up the gradient of that in any order.
        embedded: Tensor = self.metric(nn.functional.embedding(item_index, head.table.output))
        return embedded


def _draw_items(rows: Tensor, n: int, generator: torch.Generator | None) -> Tensor:
    """Return n items of each binary row, with replacement; int64, `[n_rows, n]`."""
    if generator is None:
        share = (torch.arange(n) + 0.5).div(n).expand(len(rows), n)
    else:
        share = torch.rand(len(rows), n, generator=generator, device=generator.device)
    count = rows.cumsum(1)
    rank = (share.to(rows.device) * count[:, -1:]).floor() + 1
    # A share next to 1 may round up to the count.
    return torch.searchsorted(count, rank.minimum(count[:, -1:]))
