"""The long tail and the head, by hand and by a plain reference."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from graphmeta.ranking.long_tail import long_tail, popularity_groups


def test_by_hand() -> None:
    # 20 interactions: the tail may hold up to 4 before its last group of equally known items.
    count = torch.tensor([8, 5, 3, 2, 1, 1])
    assert long_tail(count).tolist() == [False, False, False, True, True, True]
    assert popularity_groups(count).argmax(1).tolist() == [0, 1, 1, 2, 2, 2]


def test_equally_known_items_are_all_in_or_all_out() -> None:
    assert long_tail(torch.tensor([5, 1, 1, 1, 1, 1])).tolist() == [False] + [True] * 5
    assert bool(long_tail(torch.ones(4)).all())
    assert popularity_groups(torch.ones(4)).argmax(1).tolist() == [2] * 4


@given(st.lists(st.integers(1, 40), min_size=1, max_size=30))
def test_against_a_plain_reference(count: list[int]) -> None:
    wanted = [10 * sum(c for c in count if c < own) < 2 * sum(count) for own in count]
    assert long_tail(torch.tensor(count)).tolist() == wanted
    groups = popularity_groups(torch.tensor(count))
    assert groups.sum(1).tolist() == [1.0] * len(count)
    assert (groups[:, 2] == 1).tolist() == wanted
    head = [10 * sum(c for c in count if c > own) < 2 * sum(count) for own in count]
    assert (groups[:, 0] == 1).tolist() == [h and not w for h, w in zip(head, wanted, strict=True)]


def test_permuting_items_permutes_the_groups() -> None:
    generator = torch.Generator().manual_seed(0)
    count = torch.randint(1, 30, (50,), generator=generator)
    order = torch.randperm(50, generator=generator)
    assert torch.equal(popularity_groups(count[order]), popularity_groups(count)[order])
