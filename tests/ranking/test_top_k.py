from __future__ import annotations

from collections import Counter
from itertools import permutations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from graphmeta.errors import ConfigError, NonFiniteError
from graphmeta.ranking import top_k
from graphmeta.ranking.top_k import BLOCK


def full_sort(scores: Tensor, exclude: Tensor, k: int, generator: torch.Generator) -> Tensor:
    """The plain route: shuffle all columns, then sort them stably."""
    hidden = scores.clone()
    for row, items in zip(hidden, exclude, strict=True):
        row[items[items >= 0]] = -torch.inf
    shuffled = torch.rand(scores.shape, generator=generator).argsort(1)
    order = hidden.gather(1, shuffled).sort(dim=1, descending=True, stable=True).indices
    return shuffled.gather(1, order[:, :k])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 15), st.integers(2, 40))
def test_distinct_scores_are_sorted(seed: int, k: int, levels: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    scores = torch.stack([torch.randperm(20, generator=generator) for _ in range(9)]).float()
    exclude = torch.randint(-1, 20, (9, 5), generator=generator)
    best = top_k(scores, exclude, k=k, generator=generator)
    assert best.equal(full_sort(scores, exclude, k, generator))
    # With ties the items may differ, but neither the scores nor what is left out.
    tied = (scores * levels / 40).floor()
    best = top_k(tied, exclude, k=k, generator=generator)
    assert tied.gather(1, best).equal(tied.gather(1, full_sort(tied, exclude, k, generator)))
    for items, left_out in zip(best.tolist(), exclude.tolist(), strict=True):
        assert len(set(items)) == k
        assert not set(items) & set(left_out)


@pytest.mark.parametrize(
    ("row", "excluded", "k"),
    [
        ([1.0, 1.0, 1.0, 1.0], 3, 2),  # constant
        ([2.0, 1.0, 1.0, 1.0], -1, 2),  # the tie crosses the last place
        ([1.0, 2.0, 2.0, 0.0], -1, 2),  # the tie lies within
        ([1.0, 1.0, 3.0, 1.0], -1, 4),  # all candidates
        ([2.0, 0.0, 2.0, 0.0], -1, 3),  # both
    ],
)
def test_every_order_of_equal_scores_is_equally_likely(
    row: list[float], excluded: int, k: int
) -> None:
    n = 24_000
    items = [i for i in range(4) if i != excluded]
    exact = Counter(
        tuple(sorted(order, key=lambda i: -row[i])[:k]) for order in permutations(items)
    )
    best = top_k(
        torch.tensor(row).expand(n, 4),
        torch.full((n, 1), excluded),
        k=k,
        generator=torch.Generator().manual_seed(0),
    )
    got = Counter(map(tuple, best.tolist()))
    total = exact.total()
    assert set(got) == set(exact)
    chi2 = sum((got[o] - n * c / total) ** 2 / (n * c / total) for o, c in exact.items())
    # Far beyond the 99.9 % point for up to 5 degrees of freedom (20.5).
    assert chi2 < 22


def test_permuting_items_permutes_the_ranking() -> None:
    generator = torch.Generator().manual_seed(3)
    scores = torch.rand(5, 30, generator=generator)
    order = torch.randperm(30, generator=generator)
    exclude = torch.randint(0, 30, (5, 3), generator=generator)
    place = order.argsort()
    best = top_k(scores, exclude, k=8, generator=generator)
    moved = top_k(scores[:, order], place[exclude], k=8, generator=generator)
    assert order[moved].equal(best)


def test_blocks_change_nothing_and_the_scores_stay() -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.rand(3, BLOCK // 2, generator=generator)
    before = scores.clone()
    best = top_k(scores, torch.full((3, 1), -1), k=3, generator=generator)
    assert best.equal(scores.topk(3).indices)
    assert scores.equal(before)


def test_bad_input() -> None:
    generator = torch.Generator()
    with pytest.raises(NonFiniteError, match="row 1 hold NaN or infinity"):
        top_k(
            torch.tensor([[0.0, 1], [torch.nan, 1]]),
            torch.full((2, 1), -1),
            k=1,
            generator=generator,
        )
    with pytest.raises(NonFiniteError, match="row 0 hold NaN or infinity"):
        top_k(torch.full((1, 6), -torch.inf), torch.tensor([[0]]), k=2, generator=generator)
    with pytest.raises(ConfigError, match=r"k=6 is outside 1\.\.5"):
        top_k(torch.zeros(1, 6), torch.tensor([[0]]), k=6, generator=generator)
