"""Which of a row's neighbours are drawn: without replacement, whatever the row's length."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphmeta.compiled import compiled, has_numba


def draw_offsets(degree: Tensor, fanout: int, draws: Tensor | None) -> tuple[Tensor, Tensor]:
    """Draw up to `fanout` distinct numbers below each degree; all of them where -1.

    A row with no more than `fanout` neighbours gives all. A longer one goes through Floyd's
    algorithm (Bentley & Floyd, "A sample of brilliance", 1987), in `O(fanout ** 2)` whatever the
    degree. Where numba is installed a compiled loop does the same, with the same result.

    Args:
        degree: The rows' lengths.
        fanout: The most numbers for each row; -1 takes all.
        draws: Numbers in [0, 1) for each row longer than `fanout`; may be None where there is none.

    Returns:
        The position in `degree` (ascending) and the number, of every draw.

    Shapes:
        degree: int64, `[n_rows]`.
        draws: float64, `[n_long_rows, fanout]`.
        output: two times int64, `[n_drawn]`.
    """
    if has_numba():
        table = np.empty((0, 0)) if draws is None else draws.numpy()
        position, offset = _compiled_offsets(degree.numpy(), fanout, table)
        return torch.from_numpy(position), torch.from_numpy(offset)
    if draws is None:
        return _all(degree if fanout < 0 else degree.clamp(max=fanout))
    is_long = degree > fanout
    position, offset = _all(degree.masked_fill(is_long, 0))
    long = is_long.nonzero().flatten()
    position = torch.cat([position, long.repeat_interleave(fanout)])
    offset = torch.cat([offset, _floyd(degree[long], draws).flatten()])
    order = torch.argsort(position, stable=True)
    return position[order], offset[order]


def _all(degree: Tensor) -> tuple[Tensor, Tensor]:
    position = torch.repeat_interleave(torch.arange(degree.numel()), degree)
    first = degree.cumsum(0) - degree  # where each row's run starts in the output
    return position, torch.arange(position.numel()) - first[position]


def _floyd(degree: Tensor, draws: Tensor) -> Tensor:
    """Return distinct offsets below each degree, one per draw; int64, `[len(degree), fanout]`."""
    fanout = draws.size(1)
    chosen = degree.new_full(draws.shape, -1)
    for i in range(fanout):
        last = degree - fanout + i  # this step draws from 0 .. last
        # Rounding can lift the product to last + 1 where the draw is next to 1.
        pick = torch.minimum((draws[:, i] * (last + 1)).long(), last)
        taken = (chosen[:, :i] == pick[:, None]).any(dim=1)
        chosen[:, i] = torch.where(taken, last, pick)
    return chosen


@compiled
def _compiled_offsets(degree: Any, fanout: int, draws: Any) -> tuple[Any, Any]:
    total = 0
    for d in degree:
        total += d if fanout < 0 else min(d, fanout)
    position, offset = np.empty(total, np.int64), np.empty(total, np.int64)
    end = number = 0
    for row, d in enumerate(degree):
        if fanout < 0 or d <= fanout:
            for i in range(d):
                position[end + i], offset[end + i] = row, i
            end += d
            continue
        for i in range(fanout):
            last = d - fanout + i
            pick = min(np.int64(draws[number, i] * (last + 1)), last)
            for j in range(i):
                if offset[end + j] == pick:
                    pick = last
                    break
            position[end + i], offset[end + i] = row, pick
        end += fanout
        number += 1
    return position, offset
