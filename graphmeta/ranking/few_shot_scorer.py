"""A trained learner with all that it needs to score users never seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal, Self

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data.cold_users import Support
from graphmeta.encoders.catalogue_head import CatalogueHead
from graphmeta.meta.learner import FastWeights, Learner
from graphmeta.ranking.candidates import of_each_user
from graphmeta.ranking.prior_blend import PriorBlend
from graphmeta.tasks.episode import EpisodeBatch
from graphmeta.tasks.episode_sampler import EpisodeSampler

Source = Literal["adapted", "unadapted", "popular"]


@dataclass(frozen=True)
class FewShotScorer:
    """Scores the catalogue for users known by a few interactions; its weights are not changed.

    Args:
        learner: Adapts the encoder to each user.
        head: Scores the catalogue.
        sampler: Samples the subgraph around a support.
        batch_size: Users per block.
        seed: Draws neighbours, for a node the same ones each time.
        gate: Whether to adapt, by support size; the choice of the nearest size counts, and
            without any every user is adapted.
        prior: What is added to the scores.
        niche: How much of the logarithm of an item's popularity is taken from its score; below 0
            it is added.
    """

    learner: Learner
    head: CatalogueHead
    sampler: EpisodeSampler
    batch_size: int = 64
    seed: int = 0
    gate: dict[int, bool] = field(default_factory=dict)
    prior: PriorBlend | None = None
    niche: float = 0.0

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
        """Return whether the gate adapts users with `k` interactions."""
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
        weights: FastWeights | None = None,
        candidates: Tensor | None = None,
    ) -> Tensor:
        """Return each user's score of every item, or of some candidates.

        Args:
            support: What the users have shown.
            weights: The users' own weights where they are at hand, as `adapt` returns them.
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
        self.learner.eval()
        scores = []
        for rows in self._blocks(support):
            episodes = self.episodes(support[rows])
            if weights:
                own = {name: weight[rows].to(self.device) for name, weight in weights.items()}
            else:
                own = self.fast_weights(episodes)
            found = self.learner.score(episodes, own, self.head)
            added = self.added(support.item_index.size(1))
            found = found if added is None else found + added
            scores.append(found if candidates is None else found.gather(1, candidates[rows]))
        return torch.cat(scores)

    @torch.no_grad()
    def adapt(self, support: Support) -> FastWeights:
        """Return each user's own weights, none where `source` is not "adapted".

        Shapes:
            output: `[n_users, *parameter_shape]` for each adapted parameter.

        Raises:
            DataError: A support item is unknown.
        """
        if self.source(support.item_index.size(1)) != "adapted" or not len(support):
            return {}
        self.learner.eval()
        blocks = [
            self.learner.adapt(self.episodes(support[rows]), self.head)
            for rows in self._blocks(support)
        ]
        return {name: torch.cat([block[name] for block in blocks]) for name in blocks[0]}

    def _blocks(self, support: Support) -> Iterator[slice]:
        for start in range(0, len(support), self.batch_size):
            yield slice(start, start + self.batch_size)

    def episodes(self, support: Support) -> EpisodeBatch:
        """Return the subgraphs around the supports of a block of users, on `device`.

        Raises:
            DataError: A support item is unknown.
        """
        return self.sampler.sample(support.to("cpu"), seed=self.seed).to(self.device)

    def fast_weights(self, episodes: EpisodeBatch) -> FastWeights:
        """Return each user's own weights, or the shared ones where the gate says so."""
        if self.is_adapted(episodes.support.item_index.size(1)):
            return self.learner.adapt(episodes, self.head)
        return self.learner.shared_weights(len(episodes))

    def added(self, k: int) -> Tensor | None:
        """Return what is added to the scores of users with `k` interactions; `[n_items]`."""
        added = None if self.prior is None else self.prior.of(k)
        if not self.niche:
            return added
        nobody = torch.tensor([-1], device=self.device)
        wanted = -self.niche * self.head.vote.popularity(nobody)[0].log()
        return wanted if added is None else added + wanted
