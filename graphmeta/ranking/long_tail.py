"""Which items are the long tail, and which the head."""

from __future__ import annotations

import torch
from torch import Tensor

SHARE = 0.2


def long_tail(item_count: Tensor) -> Tensor:
    """Return which items are the long tail: the least known ones with 20 % of the interactions.

    This is the group T of Abdollahpouri et al., "User-centered evaluation of popularity bias in
    recommender systems" (UMAP 2021). Items that are equally known are all in or all out: an item is
    in if the interactions of all less known items are below 20 % of the training interactions.

    Args:
        item_count: Training users of each item.

    Shapes:
        item_count: `[n_items]`.
        output: bool, `[n_items]`.
    """
    return _held_by_lower(item_count) < SHARE * item_count.sum()


def popularity_groups(item_count: Tensor) -> Tensor:
    """Return each item's group: the head, the middle or the long tail.

    The head H is the best known items with 20 % of the interactions, T the `long_tail`, and M all
    others (Abdollahpouri et al., UMAP 2021). Where a single item is so well known that it would be
    head and tail, it is tail.

    Args:
        item_count: Training users of each item.

    Shapes:
        item_count: `[n_items]`.
        output: float32, `[n_items, 3]`; a one at the group H, M or T.
    """
    tail = long_tail(item_count)
    head = (_held_by_lower(-item_count).neg() < SHARE * item_count.sum()) & ~tail
    return torch.stack([head, ~(head | tail), tail], dim=1).float()


def _held_by_lower(count: Tensor) -> Tensor:
    """Return for each item the sum of all counts that are lower than its own."""
    values, place = count.unique(return_inverse=True)
    total = torch.zeros(len(values), dtype=torch.float64)
    total.index_add_(0, place, count.double())
    return (total.cumsum(0) - total)[place]
