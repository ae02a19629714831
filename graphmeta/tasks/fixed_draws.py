"""Draws that follow from a seed and a row alone, whatever is drawn beside them."""

from __future__ import annotations

import torch
from torch import Tensor

# Increment and multipliers of SplitMix64, as signed numbers: int64 wraps as uint64 does.
STEP = 0x9E3779B97F4A7C15 - 2**64
FIRST, SECOND = 0xBF58476D1CE4E5B9 - 2**64, 0x94D049BB133111EB - 2**64


def fixed_draws(seed: int, row: Tensor, n: int) -> Tensor:
    """Return `n` uniform numbers in [0, 1) for each row, the same wherever that row comes.

    The numbers are SplitMix64 (Steele, Lea and Flood, OOPSLA 2014) at counters made of the seed,
    the row and the column.

    Shapes:
        row: int64, `[n_rows]`.
        output: float64, `[n_rows, n]`.
    """
    start = _mixed(_mixed(torch.tensor(seed)) + row * STEP)
    bits = _mixed(start.unsqueeze(1) + torch.arange(1, n + 1) * STEP)
    return _shifted(bits, 11).double() * 2.0**-53


def _mixed(z: Tensor) -> Tensor:
    z = (z ^ _shifted(z, 30)) * FIRST
    z = (z ^ _shifted(z, 27)) * SECOND
    return z ^ _shifted(z, 31)


def _shifted(z: Tensor, n: int) -> Tensor:
    """Shift to the right with zeros coming in; torch's own shift repeats the sign."""
    return (z >> n) & ((1 << (64 - n)) - 1)
