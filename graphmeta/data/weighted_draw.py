"""Distinct items drawn for each of many users at once, some likelier than others."""

from __future__ import annotations

import torch
from torch import Tensor


def draw_distinct(weight: Tensor, taken: Tensor, *, n: int, generator: torch.Generator) -> Tensor:
    """Return n distinct items for each row, drawn in proportion to their weights.

    The n largest of `log weight + Gumbel noise` are a draw without replacement (Efraimidis and
    Spirakis, 2006; Kool et al., ICML 2019).

    Args:
        weight: Of each item; above 0.
        taken: Items that a row may not draw; at least n must be left.
        n: How many; 0 or more.
        generator: Draws them.

    Shapes:
        weight: float32, `[n_items]`.
        taken: bool, `[n_rows, n_items]`.
        output: int64, `[n_rows, n]`, in random order: the earlier, the likelier.
    """
    uniform = torch.rand(taken.shape, generator=generator, dtype=torch.float64)
    noisy = weight.log() - (-uniform.clamp(min=1e-300).log()).log()
    return noisy.masked_fill(taken, -torch.inf).topk(n, dim=1).indices
