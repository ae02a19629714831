"""Transfer learning: a general model, fine-tuned to each user by plain gradient steps."""

from __future__ import annotations

import warnings
from dataclasses import replace
from functools import partial
from typing import Self

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data.cold_users import Support
from graphmeta.meta.fine_tuning import FineTuning
from graphmeta.ranking import ColdStartRecommender
from graphmeta.ranking.search_space import Axis, SearchSpace


class FineTuned:
    """Scores with a recommender whose personal weights descend the loss on the support.

    What meta-learning must beat: the same encoder, trained without the inner loop; then for
    each user `inner_steps` steps of size `inner_lr` on the plain support loss, with no step
    size learnt and nothing held out.

    Args:
        general: A fitted recommender; its weights are read and never changed.
        inner_steps: Score-time; gradient steps per user.
        inner_lr: Score-time; size of every step, 0 for the general model as it is.
    """

    def __init__(
        self, general: ColdStartRecommender, *, inner_steps: int = 1, inner_lr: float = 0.1
    ) -> None:
        self.inner_steps = inner_steps
        self.inner_lr = inner_lr
        self._general = general

    @classmethod
    def search_space(cls, general: ColdStartRecommender) -> SearchSpace:
        """Return the grid; both axes are score-time."""
        return SearchSpace(
            partial(cls, general),
            score_time={
                "inner_lr": Axis((0.0, 0.01, 0.1, 1.0), extend="geometric", start=0.1),
                "inner_steps": Axis((1, 2, 4), extend="geometric", low=1, high=16, start=1),
            },
        )

    def fit(self, train: HeteroData) -> Self:
        """Return self: the general model is fitted already."""
        return self

    def score(self, support: Support) -> Tensor:
        """Return every item's score; float32, `[n_users, n_items]`.

        Raises:
            DataError: The general model is not fitted.
        """
        scorer = self._general.fitted
        general = scorer.gated(False).score(support)
        if self.inner_lr == 0:
            return general
        learner = FineTuning(
            scorer.learner.encoder,
            adapt=scorer.learner.adapted_names,
            inner_steps=self.inner_steps,
            inner_lr=self.inner_lr,
            is_batched=scorer.learner.is_batched,
            on_non_finite="keep",
        )
        scorer = replace(scorer, learner=learner).gated(True)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="the inner (loss|gradient)")
            tuned = scorer.score(support)
        return torch.where(tuned.isfinite().all(1, keepdim=True), tuned, general)
