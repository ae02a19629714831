"""Numbers keys by their first appearance."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphmeta.compiled import compiled, has_numba

# 2^64 divided by the golden ratio (Knuth, "The Art of Computer Programming" 3, 6.4).
GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def number_keys(known: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
    """Append the keys not in `known`, in order of appearance; return that and each key's place.

    Where numba is installed a compiled loop does the same with a hash table; otherwise keys are
    sorted.

    Args:
        known: Keys, numbered already; one that comes twice goes by its first place.
        key: Keys to number.

    Shapes:
        known: int64, `[n_known]`, none negative.
        key: int64, `[n]`, none negative.
        output: int64, `[n_known + n_new]` and `[n]`.
    """
    if has_numba():
        together, place = _by_hash(known.numpy(), key.numpy())
        return torch.from_numpy(together), torch.from_numpy(place)
    distinct, inverse = torch.cat([known, key]).unique(return_inverse=True)
    first = torch.full_like(distinct, inverse.numel())
    first = first.scatter_reduce(0, inverse, torch.arange(inverse.numel()), "amin")
    fresh = (first >= known.numel()).nonzero().flatten()
    fresh = fresh[first[fresh].argsort()]
    place = first.index_copy(0, fresh, known.numel() + torch.arange(len(fresh)))
    return torch.cat([known, distinct[fresh]]), place[inverse[known.numel() :]]


@compiled
def _by_hash(known: Any, key: Any) -> tuple[Any, Any]:
    n_known, bits = len(known), 4
    while 1 << bits < 2 * (n_known + len(key)):
        bits += 1
    shift, mask = np.uint64(64 - bits), (1 << bits) - 1
    table = np.full(1 << bits, -1, np.int64)
    together = np.empty(n_known + len(key), np.int64)
    place = np.empty(len(key), np.int64)
    end = 0
    for number in range(n_known + len(key)):
        wanted = known[number] if number < n_known else key[number - n_known]
        slot = np.int64((np.uint64(wanted) * GOLDEN) >> shift)
        while table[slot] >= 0 and together[table[slot]] != wanted:
            slot = (slot + 1) & mask
        if table[slot] < 0:
            table[slot] = end
            together[end] = wanted
            end += 1
        elif number < n_known:  # Twice among the known: keeps its place all the same.
            together[end] = wanted
            end += 1
        if number >= n_known:
            place[number - n_known] = table[slot]
    return together[:end], place
