"""Pairs of users and items of a batch."""

from __future__ import annotations

import torch

from graphmeta.tasks.seen_items import SeenItems


def test_some_columns_are_those_of_the_rows() -> None:
    seen = SeenItems(torch.tensor([0, 0, 2]), torch.tensor([4, 1, 3]), n_users=3)
    dense = seen.to_dense(6)
    assert dense.tolist() == [[0, 1, 0, 0, 1, 0], [0] * 6, [0, 0, 0, 1, 0, 0]]
    items = torch.tensor([0, 1, 3, 4])
    assert torch.equal(seen.among(items), dense[:, items])
