"""Padding that all users share is left out."""

import torch

from graphmeta.data import Support
from graphmeta.ranking.trimmed_support import trimmed


def test_columns_that_are_padding_for_all() -> None:
    items = torch.tensor([[3, -1, 1, -1], [2, -1, -1, -1]])
    rating, features = torch.arange(8.0).view(2, 4), torch.ones(2, 5)
    got = trimmed(Support(items, rating=rating, user_x=features))
    assert got.item_index.tolist() == [[3, 1], [2, -1]]
    assert got.rating is not None
    assert got.rating.tolist() == [[0, 2], [4, 6]]
    assert got.user_x is features
    assert got.time is None
    assert trimmed(got) is got
