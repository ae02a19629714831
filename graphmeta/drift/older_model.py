"""A model of an older catalogue, ranked among the items of today."""

from __future__ import annotations

from dataclasses import replace
from typing import Self

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data.cold_users import Support
from graphmeta.data.id_map import IdMap
from graphmeta.ranking.fitted_model import FittedModel


class OlderModel:
    """Scores a newer catalogue by a model that knows an older one: what it cannot know comes last.

    Items that are new to the model, and links, are left out of what is known of users; such items
    rank below all others, at random among themselves. This is what a model left alone is worth.

    Args:
        model: Fitted some time ago; not changed.
        item_ids: The ids of the newer catalogue.
    """

    def __init__(self, model: FittedModel, item_ids: IdMap) -> None:
        self.model = model
        self._old_row = model.item_ids.find(item_ids.ids)

    def fit(self, train: HeteroData) -> Self:
        """Return self: the model stays as it is."""
        return self

    def score(self, support: Support) -> Tensor:
        """Return each user's score of every item of the newer catalogue.

        Shapes:
            output: float32, `[n_users, n_items]`.
        """
        known = self.model.score(self._translated(support))
        scores = (known.amin(1, keepdim=True) - 1).repeat(1, len(self._old_row))
        is_known = (self._old_row >= 0).to(known.device)
        scores[:, is_known] = known[:, self._old_row[self._old_row >= 0].to(known.device)]
        return scores

    def _translated(self, support: Support) -> Support:
        """Return the support in rows of the older catalogue, known items first."""
        row = torch.where(support.mask, self._old_row[support.item_index.clamp(min=0)], -1)
        order = (row < 0).int().argsort(dim=1, stable=True)
        columns = {
            name: None if value is None else value.gather(1, order)
            for name, value in (("rating", support.rating), ("time", support.time))
        }
        # The older model's users have other rows: links would name the wrong ones.
        return replace(support, item_index=row.gather(1, order), links=None, **columns)
