"""With numba and without it, sampling gives the same."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from graphmeta.compiled import without_numba
from graphmeta.tasks import draw_offsets, gather_edges, number_keys


def both(run: Callable[[], tuple[Tensor, Tensor]]) -> tuple[list[list[int]], list[list[int]]]:
    """Return what a function gives with compiled loops and with tensor operations."""
    found = [[part.tolist() for part in run()]]
    with without_numba():
        found.append([part.tolist() for part in run()])
    return found[0], found[1]


@given(st.lists(st.integers(0, 30), max_size=12), st.integers(-1, 9), st.integers(0, 2**30))
@settings(max_examples=80, deadline=None)
def test_the_same_offsets(degrees: list[int], fanout: int, seed: int) -> None:
    degree = torch.tensor(degrees, dtype=torch.long)
    n_long = int((degree > fanout).sum()) if fanout > 0 else 0
    draws = None
    if n_long:
        generator = torch.Generator().manual_seed(seed)
        draws = torch.rand(n_long, fanout, dtype=torch.float64, generator=generator)
        draws[0, 0] = 1 - 2**-53  # Rounding lifts its product to the number after the last.
    one, other = both(lambda: draw_offsets.draw_offsets(degree, fanout, draws))
    assert one == other
    for row, length in enumerate(degrees):
        drawn = [offset for at, offset in zip(*one, strict=True) if at == row]
        assert len(set(drawn)) == len(drawn) == (length if fanout < 0 else min(length, fanout))
        assert all(0 <= offset < length for offset in drawn)


@given(
    st.lists(st.integers(0, 12), max_size=10),
    st.lists(st.integers(0, 12) | st.integers(2**61, 2**61 + 3), max_size=40),
)
@settings(max_examples=80, deadline=None)
def test_the_same_numbers(known: list[int], keys: list[int]) -> None:
    arrays = (torch.tensor(known, dtype=torch.long), torch.tensor(keys, dtype=torch.long))
    one, other = both(lambda: number_keys.number_keys(*arrays))
    assert one == other
    together, place = one
    assert together == known + list(dict.fromkeys(key for key in keys if key not in known))
    assert place == [together.index(key) for key in keys]


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
@pytest.mark.parametrize("has_id", [True, False])
def test_the_same_edges(dtype: torch.dtype, has_id: bool) -> None:
    start, index = torch.tensor([0, 2, 5]), torch.tensor([9, 8, 7, 6, 5, 4], dtype=dtype)
    ids = torch.tensor([3, 1, 0, 2, 5, 4]) if has_id else None
    position, offset = torch.tensor([1, 0, 1, 2]), torch.tensor([2, 1, 0, 0])
    one, other = both(lambda: gather_edges.gather_edges(start, index, ids, position, offset))
    assert one == other == [[5, 8, 7, 4], [5, 1, 0, 4] if has_id else [4, 1, 2, 5]]
