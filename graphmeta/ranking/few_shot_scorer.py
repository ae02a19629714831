"""A trained learner with all that it needs to score users never seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Self

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data.cold_users import Support
from graphmeta.encoders.catalogue_head import CatalogueHead
from graphmeta.errors import DataError
from graphmeta.meta.learner import FastWeights, Learner
from graphmeta.ranking.candidates import of_each_user
from graphmeta.ranking.linear_part import LinearPart
from graphmeta.ranking.new_item_scores import NewItemScores
from graphmeta.ranking.prior_blend import PriorBlend
from graphmeta.ranking.recency import faded
from graphmeta.ranking.reranker import Reranker, reranked
from graphmeta.ranking.trimmed_support import trimmed
from graphmeta.tasks.episode import EpisodeBatch
from graphmeta.tasks.episode_sampler import EpisodeSampler

Source = Literal["adapted", "unadapted", "popular"]
# Users of a block may have shown as many items as users of so many each would; a subgraph grows
# with what its user has shown.
SHOWN_PER_USER = 16


@dataclass(frozen=True)
class FewShotScorer:
    """Scores the catalogue for users known by a few interactions; its weights are not changed.

    Args:
        learner: Adapts the encoder to each user.
        head: Scores the catalogue.
        sampler: Samples the subgraph around a support.
        batch_size: Users per block, fewer where they have shown much.
        seed: Draws neighbours, for a node the same ones each time.
        gate: Whether to adapt, by support size; the choice of the nearest size counts, and
            without any every user is adapted.
        k_max: Largest support that is adapted to, whatever the gate; None for any. Training went
            no further, and leaving each item out takes memory by the square of their number.
        prior: What is added to the scores.
        linear: What is added to the scores of users who have shown many items.
        new_items: Scores the items that nobody has interacted with; None to leave them as they are.
        niche: How much of the logarithm of an item's popularity is taken from its score; below 0
            it is added.
        half_life: Interactions after which one counts half (`faded`); None where all count alike.
        reranker: Orders the best items anew; None for the order of the scores.
    """

    learner: Learner
    head: CatalogueHead
    sampler: EpisodeSampler
    batch_size: int = 64
    seed: int = 0
    gate: dict[int, bool] = field(default_factory=dict)
    k_max: int | None = None
    prior: PriorBlend | None = None
    linear: LinearPart | None = None
    new_items: NewItemScores | None = None
    niche: float = 0.0
    half_life: float | None = None
    reranker: Reranker | None = None

    def fit(self, train: HeteroData) -> Self:
        """Return self: the learner is trained already."""
        return self

    @property
    def device(self) -> torch.device:
        """Where scores are computed."""
        return self.head.bias.device

    def gated(self, is_adapted: bool) -> FewShotScorer:
        """Return a scorer with the same weights that adapts every user, or none."""
        return replace(self, gate={0: is_adapted})

    def is_adapted(self, k: int) -> bool:
        """Return whether users with `k` interactions are adapted: by the gate, up to `k_max`."""
        if self.k_max is not None and k > self.k_max:
            return False
        if not self.gate:
            return True
        return self.gate[min(self.gate, key=lambda size: (abs(size - k), size))]

    def source(self, k: int) -> Source:
        """Return what ranks users with `k` interactions.

        "adapted" and "unadapted" are the encoder with the user's own weights and with the shared
        ones; "popular" is the ranking without support, by popularity and the user's features.
        """
        if k == 0:
            return "popular"
        adapts = self.learner.is_adaptive and k >= self.learner.min_support
        return "adapted" if adapts and self.is_adapted(k) else "unadapted"

    @torch.no_grad()
    def score(
        self,
        support: Support,
        *,
        weights: Sequence[FastWeights] | None = None,
        candidates: Tensor | None = None,
    ) -> Tensor:
        """Return each user's score of every item, or of some candidates.

        Args:
            support: What the users have shown, some more than others perhaps.
            weights: Each user's own weights where they are at hand, as `adapt` returns them.
            candidates: Catalogue rows to score, the same for all users or each user's own.

        Shapes:
            candidates: int64, `[m]` or `[n_users, m]`.
            output: float32, `[n_users, n_items]` or `[n_users, m]`, on `device`.

        Raises:
            DataError: A support item is unknown, or a candidate is not in the catalogue.
        """
        if candidates is not None:
            n_items = len(self.head.bias)
            candidates = of_each_user(candidates, len(support), n_items).to(self.device)
        self._rest()
        order, scores = [], []
        for rows, block in self._blocks(support):
            episodes = self.episodes(block)
            own = self._own(episodes, rows, weights)
            found = self.learner.score(episodes, own, self.head)
            found = self.finished(found, episodes.support)
            if candidates is not None:
                found = found.gather(1, candidates[rows])
            order.append(rows)
            scores.append(found)
        if not scores:
            width = len(self.head.bias) if candidates is None else candidates.size(1)
            return torch.empty(0, width, device=self.device)
        together = torch.cat(scores)
        if bool(support.mask.all()):
            return together  # All are alike, and stand as they came.
        return torch.empty_like(together).index_copy_(0, torch.cat(order), together)

    @torch.no_grad()
    def best(
        self,
        support: Support,
        *,
        k: int,
        allowed: Tensor,
        weights: Sequence[FastWeights] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return the rows and scores of each user's best items, less the support.

        Where the head can (`CatalogueHead.prunes`), items that cannot come in are not scored.
        A `reranker` settles which items are best, and their order; the scores stay what they were.

        Args:
            support: What the users have shown.
            k: How many items to return; at least as many must be left to recommend.
            allowed: Which items may be recommended, to all users or to each.
            weights: Each user's own weights where they are at hand.

        Shapes:
            allowed: bool, `[n_items]` or `[n_users, n_items]`.
            output: int64 and float32, `[n_users, k]`, on the processor.

        Raises:
            DataError: A support item is unknown, or `allowed` is not of the catalogue's length.
        """
        n_items = len(self.head.bias)
        if allowed.size(-1) != n_items:
            raise DataError(
                f"allowed says of {allowed.size(-1)} items whether they may be recommended; give "
                f"one for each of the {n_items} of the catalogue"
            )
        self._rest()
        reranker = self.reranker
        n_best = k if reranker is None else min(max(k, reranker.n_candidates), n_items)
        items = torch.empty(len(support), n_best, dtype=torch.long, device=self.device)
        scores = torch.empty(len(support), n_best, device=self.device)
        allowed = allowed.to(self.device)
        for rows, block in self._blocks(support):
            may = allowed if allowed.dim() == 1 else allowed[rows]
            episodes = self.episodes(block)
            own = self._own(episodes, rows, weights)
            items[rows], scores[rows] = self._best(episodes, own, n_best, may)
        items, scores = items.cpu(), scores.cpu()
        if reranker is None:
            return items, scores
        place = reranked(reranker, items, scores, support.to("cpu"), k=k)
        return items.gather(1, place), scores.gather(1, place)

    def _best(
        self, episodes: EpisodeBatch, own: FastWeights, k: int, allowed: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the best items of users who are all adapted or all not."""
        support = episodes.support
        shown = support.item_index.where(support.mask, -1)
        some = None if bool(allowed.all()) else allowed.view(-1, allowed.size(-1))
        if self._prunes(episodes):
            z = self.learner.embed(episodes, own, self.head)
            return self.head.at_rest().best(z, episodes, k=k, excluded=shown, allowed=some)
        scores = self.finished(self.learner.score(episodes, own, self.head), support)
        if some is not None:
            scores = scores.masked_fill(~some, -torch.inf)
        user, column = (shown >= 0).nonzero().unbind(1)
        scores[user, shown[user, column]] = -torch.inf
        best = scores.topk(k)
        return best.indices, best.values

    def _own(
        self, episodes: EpisodeBatch, rows: Tensor, weights: Sequence[FastWeights] | None
    ) -> FastWeights:
        """Return the weights at hand of the users in some rows; without any, new ones."""
        known = {} if weights is None else _joined([weights[row] for row in rows.tolist()])
        known = {name: weight.to(self.device) for name, weight in known.items()}
        return known or self.fast_weights(episodes)

    def _prunes(self, episodes: EpisodeBatch) -> bool:
        is_plain = type(self.learner).score is Learner.score and not self.niche
        sizes = episodes.support.size.unique().tolist()
        return (
            is_plain
            and self.head.prunes(episodes)
            and all(self.added(size) is None for size in sizes)
            and (self.linear is None or max(sizes) <= self.linear.chosen.above)
            and not self.new_items
        )

    def finished(self, scores: Tensor, support: Support) -> Tensor:
        """Add what is added by support size and for known users, then score new items; in place.

        Args:
            scores: The learner's.
            support: What the users have shown.

        Shapes:
            scores: float32, `[n_users, n_items]`.
        """
        sizes = support.size
        if self.linear is not None:
            rows = (sizes > self.linear.chosen.above).nonzero().flatten()
            if len(rows):
                scores[rows] += self.linear(support[rows])
        for size in sizes.unique().tolist():
            added = self.added(size)
            if added is not None:
                scores += added * (sizes == size).unsqueeze(1)
        return scores if self.new_items is None else self.new_items(scores)

    @torch.no_grad()
    def adapt(self, support: Support) -> list[FastWeights]:
        """Return each user's own weights, none where `source` is not "adapted".

        Args:
            support: What the users have shown, some more than others perhaps.

        Shapes:
            output: `[1, *parameter_shape]` for each user and adapted parameter.

        Raises:
            DataError: A support item is unknown.
        """
        self._rest()
        own: list[FastWeights] = [{} for _ in range(len(support))]
        for rows, block in self._blocks(support):
            if self.source(int(block.size[0])) == "adapted":
                found = self.learner.adapt(self.episodes(block), self.head)
                for at, row in enumerate(rows.tolist()):
                    own[row] = {name: weight[at : at + 1] for name, weight in found.items()}
        return own

    def _rest(self) -> None:
        if self.learner.training:  # To say so to every module takes longer than to ask one.
            self.learner.eval()

    def _blocks(self, support: Support) -> Iterator[tuple[Tensor, Support]]:
        """Yield rows of users who are all adapted, or all not, and what these have shown.

        Those who have shown as many stand together, so that little is padded.
        """
        size = support.size
        is_adapted = torch.zeros(len(support), dtype=torch.bool)
        for k in size.unique().tolist():
            is_adapted[(size == k).cpu()] = self.source(k) == "adapted"
        for alike in (~is_adapted, is_adapted):
            rows = alike.nonzero().flatten()
            rows = rows[size.cpu()[rows].argsort(stable=True)]
            shown, first = size.cpu()[rows].tolist(), 0
            while first < len(rows):
                last = min(first + self.batch_size, len(rows))
                most = SHOWN_PER_USER * self.batch_size
                while last > first + 1 and (last - first) * shown[last - 1] > most:
                    last -= 1
                some, first = rows[first:last], last
                yield some.to(self.device), trimmed(support[some])

    def episodes(self, support: Support) -> EpisodeBatch:
        """Return the subgraphs around the supports of a block of users, on `device`.

        Raises:
            DataError: A support item is unknown.
        """
        if self.half_life is not None:
            support = faded(support, self.half_life)
        return self.sampler.sample(support.to("cpu"), seed=self.seed).to(self.device)

    def fast_weights(self, episodes: EpisodeBatch) -> FastWeights:
        """Return each user's own weights; none, which means the shared ones, by the gate.

        Args:
            episodes: Users who are all adapted or all not.
        """
        if len(episodes) and self.source(int(episodes.support.size[0])) == "adapted":
            return self.learner.adapt(episodes, self.head)
        return {}

    def added(self, k: int) -> Tensor | None:
        """Return what is added to the scores of users with `k` interactions; `[n_items]`."""
        added = None if self.prior is None else self.prior.of(k)
        if not self.niche:
            return added
        nobody = torch.tensor([-1], device=self.device)
        wanted = -self.niche * self.head.vote.popularity(nobody)[0].log()
        return wanted if added is None else added + wanted


def _joined(weights: Sequence[FastWeights]) -> FastWeights:
    """Return the weights of several users who are all adapted or all not."""
    return {name: torch.cat([own[name] for own in weights]) for name in weights[0]}
