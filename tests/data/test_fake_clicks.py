"""Clicks follow what a user has shown, and change nothing else."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch_geometric.data import HeteroData

from graphmeta.data import ColdUsers, split_cold_users, split_cross_domain, with_domains
from graphmeta.data.cold_users import Support
from graphmeta.data.fake_clicks import own_items, with_clicked_users, with_clicks
from graphmeta.errors import ConfigError, DataError


@pytest.fixture
def users(planted_graph: HeteroData) -> ColdUsers:
    return split_cold_users(planted_graph, seed=0).test


def test_clicks_by_hand() -> None:
    support = Support(
        torch.tensor([[4, 2], [7, -1]]),
        rating=torch.tensor([[3.0, 5.0], [2.0, 0.0]]),
        time=torch.tensor([[10.0, 20.0], [30.0, 0.0]], dtype=torch.float64),
        user_x=torch.ones(2, 1),
    )
    clicked = with_clicks(support, torch.tensor([[9, 1], [4, -1]]))
    assert clicked.item_index.tolist() == [[4, 2, 9, 1], [7, -1, 4, -1]]
    assert clicked.rating is not None
    assert clicked.rating.tolist() == [[3, 5, 5, 5], [2, 0, 2, 2]]
    assert clicked.time is not None
    assert clicked.time.tolist() == [[10, 20, 20, 20], [30, 0, 30, 30]]
    assert clicked.size.tolist() == [4, 2]
    assert clicked.user_x is support.user_x


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([[1]], "one row for each"),
        ([[4], [1]], "has shown or clicked"),
        ([[1, 1], [3, 0]], "has shown or clicked"),
    ],
)
def test_clicks_that_cannot_be(items: Any, message: str) -> None:
    support = Support(torch.tensor([[4, 2], [7, -1]]))
    with pytest.raises(DataError, match=message):
        with_clicks(support, torch.tensor(items))


def test_who_has_shown_nothing_cannot_click() -> None:
    with pytest.raises(DataError, match="who have shown something"):
        with_clicks(Support(torch.tensor([[-1], [2]])), torch.tensor([[1], [3]]))


def test_clicked_users_show_the_click_and_keep_their_query(users: ColdUsers) -> None:
    free = (~own_items(users)).int().argmax(1, keepdim=True)
    clicked = with_clicked_users(users, free, k=3)
    assert clicked.k_max == users.k_max + 1
    assert torch.equal(clicked.support(3).item_index, users.support(3).item_index)
    assert torch.equal(clicked.support(4).item_index[:, 3:], free)
    assert torch.equal(clicked.first.item_index[:, 4:], users.first.item_index[:, 3:])
    assert clicked.query_index is users.query_index
    assert clicked.first.time is not None
    assert clicked.first.time.shape == clicked.first.item_index.shape


def test_clicks_come_after_what_is_known_before(planted_graph: HeteroData) -> None:
    domains = {item: "ab"[row % 2] for row, item in enumerate(planted_graph["item"].id_map.ids)}
    users = split_cross_domain(with_domains(planted_graph, domains), "a", k_max=3).test
    assert users.before is not None
    free = (~own_items(users)).int().argmax(1, keepdim=True)
    clicked = with_clicked_users(users, free, k=2)
    shown = clicked.support(3).item_index
    assert torch.equal(shown[:, :-1], users.support(2).item_index)
    assert torch.equal(shown[:, -1:], free)
    known = users.before.item_index.amax(1)
    rows = (known >= 0).nonzero().flatten()
    with pytest.raises(DataError, match="of the user's own"):
        with_clicked_users(users.select(rows), known[rows].unsqueeze(1), k=2)


def test_clicked_users_that_cannot_be(users: ColdUsers) -> None:
    free = (~own_items(users)).int().argmax(1, keepdim=True)
    own = users.query_index[users.query_ptr[:-1]].unsqueeze(1)
    with pytest.raises(DataError, match="of the user's own"):
        with_clicked_users(users, own, k=3)
    with pytest.raises(DataError, match="one row for each"):
        with_clicked_users(users, free[:-1], k=3)
    for k in (0, users.k_max + 1):
        with pytest.raises(ConfigError, match=f"k={k} is outside 1"):
            with_clicked_users(users, free, k=k)
