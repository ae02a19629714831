"""Products with the user-item matrix against dense ones."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import pytest
import torch

from graphmeta.compiled import without_numba
from graphmeta.encoders.interaction_matrix import InteractionMatrix

ROWS = torch.tensor([[1.0, 1, 0, 0, 1], [1, 0, 1, 0, 0], [0, 0, 0, 0, 0], [0, 1, 1, 1, 0]])


def matrix() -> InteractionMatrix:
    edge_index = ROWS.nonzero().T
    shuffled = edge_index[:, torch.randperm(8, generator=torch.Generator().manual_seed(0))]
    return InteractionMatrix(shuffled, num_users=4, num_items=5)


def test_products_and_their_gradients_are_those_of_the_dense_matrix() -> None:
    for product, dense, width in (
        (matrix().to_users, ROWS.T, 5),
        (matrix().to_items, ROWS, 4),
    ):
        x = torch.randn(3, width, generator=torch.Generator().manual_seed(1)).requires_grad_()
        weight = torch.randn(3, dense.size(1), generator=torch.Generator().manual_seed(2))
        found, wanted = product(x), x @ dense
        torch.testing.assert_close(found, wanted)
        gradients = [torch.autograd.grad((y * weight).sum(), x)[0] for y in (found, wanted)]
        torch.testing.assert_close(*gradients)


def test_rows_of_some_users() -> None:
    found = matrix().rows(torch.tensor([3, -1, 0, 2]))
    torch.testing.assert_close(found, torch.stack([ROWS[3], torch.zeros(5), ROWS[0], ROWS[2]]))


def test_some_columns_of_rows_and_of_the_whole_matrix() -> None:
    items = torch.tensor([1, 2, 4])
    found = matrix().rows(torch.tensor([3, -1, 0]), items)
    torch.testing.assert_close(found, torch.stack([ROWS[3], torch.zeros(5), ROWS[0]])[:, items])
    some, x = matrix().columns(items), torch.eye(4)
    assert some.shape == (4, 3)
    torch.testing.assert_close(some.to_items(x), ROWS[:, items])


def test_a_copy_works_alone() -> None:
    x = torch.eye(5)
    torch.testing.assert_close(copy.deepcopy(matrix()).to_users(x), ROWS.T)
    double = matrix().double()
    torch.testing.assert_close(double.to_users(x.double()), ROWS.T.double())


@pytest.mark.parametrize("way", [nullcontext, without_numba])
def test_every_pair_is_found_or_not(way: Callable[[], AbstractContextManager[None]]) -> None:
    with way():
        check_pairs()


def check_pairs() -> None:
    user, item = torch.arange(4).view(4, 1), torch.arange(5).view(1, 5)
    assert torch.equal(matrix().has(user, item), ROWS > 0)
    empty = InteractionMatrix(torch.zeros(2, 0, dtype=torch.long), num_users=4, num_items=5)
    assert not bool(empty.has(user, item).any())


def test_items_of_some_users() -> None:
    place, item = matrix().items_of(torch.tensor([3, -1, 2, 0]))
    assert place.tolist() == [0, 0, 0, 3, 3, 3]
    assert item.tolist() == [1, 2, 3, 0, 1, 4]
