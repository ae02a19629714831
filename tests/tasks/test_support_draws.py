"""Supports of training users: their own items, a query left, both orders."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data import from_frame, planted_interactions
from graphmeta.errors import DataError
from graphmeta.tasks.episode import RATES
from graphmeta.tasks.support_draws import SupportDraws


def graph_of(edge_index: Tensor, time: Tensor | None = None) -> HeteroData:
    graph = HeteroData()
    graph["user"].num_nodes, graph["item"].num_nodes = 4, 7
    graph[RATES].edge_index = edge_index
    if time is not None:
        graph[RATES].time = time
        graph[RATES].rating = edge_index[1].float()
    return graph


# User 3 has what the others have; nobody else has user 0's item 6.
EDGES = torch.tensor(
    [[0, 0, 0, 1, 1, 2, 3, 3, 3, 3, 3, 3, 0], [2, 0, 1, 3, 4, 5, 0, 1, 2, 3, 4, 5, 6]]
)


def test_supports_are_the_users_own_items_and_leave_a_query() -> None:
    draws = SupportDraws(graph_of(EDGES))
    assert draws.users.tolist() == [0, 1, 3]
    generator = torch.Generator().manual_seed(0)
    met = set()
    for _ in range(20):
        support, seen = draws.draw(torch.tensor([1, 0]), 2, in_order=False, generator=generator)
        assert seen.to_dense(7).tolist() == [[0, 0, 0, 1, 1, 0, 0], [1, 1, 1, 0, 0, 0, 0]]
        assert support.size.tolist() == [1, 2]
        assert set(support.item_index[0].tolist()) <= {3, 4, -1}
        assert len(set(support.item_index[1].tolist()) & {0, 1, 2}) == 2
        met |= {tuple(support.item_index[1].tolist())}
    assert len(met) == 6


def test_in_order_the_first_items_come_with_their_ratings_and_times() -> None:
    time = torch.tensor([30.0, 10, 20, 5, 1, 9, 1, 2, 3, 4, 5, 6, 0], dtype=torch.float64)
    draws = SupportDraws(graph_of(EDGES, time))
    assert draws.is_timed
    support, _ = draws.draw(torch.tensor([0, 1]), 2, in_order=True, generator=torch.Generator())
    assert support.item_index.tolist() == [[0, 1], [4, -1]]
    assert support.rating is not None
    assert support.rating.tolist() == [[0.0, 1.0], [4.0, 0.0]]
    assert support.time is not None
    assert support.time.tolist() == [[10.0, 20.0], [1.0, 0.0]]


def test_items_that_nobody_else_has_are_neither_shown_nor_asked_for() -> None:
    draws = SupportDraws(graph_of(EDGES))
    support, seen = draws.draw(torch.tensor([0]), 10, in_order=False, generator=torch.Generator())
    assert seen.to_dense(7)[0, 6] == 0
    assert 6 not in support.item_index


def test_nobody_with_two_items_is_refused() -> None:
    with pytest.raises(DataError, match="no training user has two items"):
        SupportDraws(graph_of(torch.tensor([[0, 1], [0, 1]])))


def test_users_arrive_in_a_domain() -> None:
    graph = from_frame(planted_interactions(), time="time")
    graph["item"].domain = torch.arange(int(graph["item"].num_nodes)) % 2
    draws = SupportDraws(graph)
    users = draws.users[:64]
    for k in (1, 4, 19):
        support, seen = draws.draw(
            users, k, in_order=True, generator=torch.Generator().manual_seed(k), arrives=True
        )
        held = set()
        for row in range(len(users)):
            shown = support.item_index[row][support.mask[row]]
            own = seen.to_dense(graph["item"].num_nodes)[row].nonzero().flatten()
            counts = graph["item"].domain[own].bincount(minlength=2)
            of_shown = graph["item"].domain[shown].bincount(minlength=2)
            # All but one of the others' domain come before any of the new one's.
            new = [d for d in (0, 1) if of_shown[1 - d] == min(k, int(counts[1 - d]))]
            assert new, (k, counts, of_shown)
            held |= set(new)
        assert held == {0, 1}  # Neither domain is always the new one.


def test_items_without_domains_are_in_one() -> None:
    draws = SupportDraws(from_frame(planted_interactions(), time="time"))
    users = draws.users[:8]
    random, arriving = (
        draws.draw(
            users,
            3,
            in_order=False,
            generator=torch.Generator().manual_seed(0),
            arrives=arrives,
        )[0]
        for arrives in (False, True)
    )
    assert torch.equal(random.item_index, arriving.item_index)


def test_the_items_that_count_may_be_given_so_that_other_users_decide_nothing() -> None:
    counts = torch.tensor([True, True, False, True, True, True, True])
    draws = SupportDraws(graph_of(EDGES), counts=counts)
    _, seen = draws.draw(
        torch.tensor([0]), 1, in_order=False, generator=torch.Generator().manual_seed(0)
    )
    assert seen.to_dense(7)[0].nonzero().flatten().tolist() == [
        0,
        1,
        6,
    ]  # Nobody else has 6; 2 is left out.
