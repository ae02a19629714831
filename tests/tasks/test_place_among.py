"""Places in a sorted list."""

from __future__ import annotations

import torch

from graphmeta.tasks.place_among import place_among


def test_known_numbers_have_their_place_and_others_none() -> None:
    items = torch.tensor([2, 5, 9])
    found = place_among(items, torch.tensor([[9, 0, 2], [10, -1, 5]]))
    assert found.tolist() == [[2, -1, 0], [-1, -1, 1]]
    assert place_among(items[:0], torch.tensor([3])).tolist() == [-1]
