"""A model's scores, computed once however many ways they are ranked in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data import Support
from graphmeta.ranking import ColdStartRecommender
from graphmeta.ranking.reranker import Reranker


@dataclass(frozen=True)
class KeptScores:
    """Scores as `model.with_niche(niche).with_reranker(reranker)` does, and keeps what is slow.

    `dataclasses.replace` makes another one with the same scores.

    Args:
        model: A fitted recommender.
        niche: See `ColdStartRecommender.with_niche`.
        reranker: See `ColdStartRecommender.with_reranker`.
        kept: The scores of `model` by what users have shown.
    """

    model: ColdStartRecommender
    niche: float = 0.0
    reranker: Reranker | None = None
    kept: dict[bytes, Tensor] = field(default_factory=dict, repr=False)

    def fit(self, train: HeteroData) -> Self:
        """Return self: the model is fitted already."""
        return self

    def score(self, support: Support) -> Tensor:
        """Return the scores of users who have all shown as many items.

        Shapes:
            output: float32, `[n_users, n_items]`.
        """
        key = support.item_index.numpy().tobytes()
        if key not in self.kept:
            self.kept[key] = self.model.score(support).cpu()
        scores, k = self.kept[key], support.item_index.size(1)
        if not self.niche:
            return scores
        plain = self.model.fitted.added(k)
        added = self.model.with_niche(self.niche).fitted.added(k)
        if added is None:
            return scores
        return scores + (added if plain is None else added - plain).cpu()
