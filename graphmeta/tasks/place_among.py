"""Where numbers stand in a sorted list."""

from __future__ import annotations

import torch
from jaxtyping import Int
from torch import Tensor


def place_among(items: Int[Tensor, " m"], item: Int[Tensor, "*n"]) -> Int[Tensor, "*n"]:
    """Return the place of each item in an ascending list, -1 for those not in it."""
    if not len(items):
        return torch.full_like(item, -1)
    place = torch.searchsorted(items, item).clamp(max=len(items) - 1)
    return place.where(items[place] == item, -1)
