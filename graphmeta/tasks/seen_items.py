"""All items of some training users: what they show, and what is to be predicted."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class SeenItems:
    """Pairs of users and items, as lists of a batch and not as rows of the catalogue.

    Args:
        row: Which user of the batch.
        item: Which item of the catalogue.
        n_users: Users in the batch.

    Shapes:
        row, item: int64, `[n_pairs]`; distinct pairs.
    """

    row: Int[Tensor, " n_pairs"]
    item: Int[Tensor, " n_pairs"]
    n_users: int

    def to_dense(self, n_items: int) -> Float[Tensor, "n_users n_items"]:
        """Return the users' rows of the catalogue, ones at their items."""
        out = torch.zeros(self.n_users, n_items)
        out[self.row, self.item] = 1.0
        return out

    def among(self, items: Int[Tensor, " m"]) -> Float[Tensor, "n_users m"]:
        """Return the columns of some items, all of the users' among them.

        Args:
            items: Distinct rows of the catalogue, ascending.
        """
        out = torch.zeros(self.n_users, len(items))
        out[self.row, torch.searchsorted(items, self.item)] = 1.0
        return out
