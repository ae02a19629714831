"""Which nodes and edges of an episode are near its user."""

from __future__ import annotations

import pytest
import torch

from graphmeta.tasks.episode import RATES, REV_RATES
from graphmeta.tasks.reach import Reach


@pytest.mark.parametrize(
    ("distance", "users", "items", "rates", "reverse"),
    [
        (0, [0, 4], [6], 0, 2),  # The user hears from two support items.
        (1, [0, 4], [0, 1, 6], 5, 2),  # They hear from all users.
        (2, [0, 1, 2, 3, 4], [0, 1, 6], 5, 7),  # Those hear from all items.
        (3, [0, 1, 2, 3, 4], [0, 1, 2, 3, 4, 5, 6], 5, 7),
    ],
)
def test_each_distance_by_hand(
    distance: int, users: list[int], items: list[int], rates: int, reverse: int
) -> None:
    reach = Reach(distance, support_size=2)
    found = reach.nodes({"user": torch.arange(5).view(5, 1), "item": torch.arange(7).view(7, 1)})
    assert found["user"].flatten().tolist() == users
    assert found["item"].flatten().tolist() == items
    assert torch.arange(5)[reach.edges(RATES)].tolist() == list(range(rates))
    assert torch.arange(7)[reach.edges(REV_RATES)].tolist() == list(range(reverse))


def test_only_two_edge_types_have_known_distances() -> None:
    edges = torch.zeros(2, 0, dtype=torch.long)
    assert Reach.is_known({RATES: edges, REV_RATES: edges})
    assert not Reach.is_known({RATES: edges, ("user", "trusts", "user"): edges})
