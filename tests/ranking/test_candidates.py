"""Candidates of each user, and which are refused."""

from __future__ import annotations

import pytest
import torch

from graphmeta.errors import DataError
from graphmeta.ranking.candidates import of_each_user


def test_one_list_is_for_all() -> None:
    assert of_each_user(torch.tensor([2, 0]), 3, 5).tolist() == [[2, 0]] * 3
    own = torch.tensor([[1], [4]])
    assert torch.equal(of_each_user(own, 2, 5), own)


@pytest.mark.parametrize(
    ("candidates", "message"),
    [
        (torch.tensor([1, 5]), "candidate row 5 is outside the catalogue of 5 items"),
        (torch.tensor([[0], [-1]]), "candidate row -1 is outside"),
        (torch.tensor([0.5]), "candidates are torch.float32"),
        (torch.tensor(1), r"int64 \[\]; give item rows"),
        (torch.tensor([[1]]), "candidates have 1 rows for 2 users"),
    ],
)
def test_bad_input(candidates: torch.Tensor, message: str) -> None:
    with pytest.raises(DataError, match=message):
        of_each_user(candidates, 2, 5)
