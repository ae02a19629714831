"""The gradient of an outer step from those of its shards, wherever they ran."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from graphmeta.meta.data_parallel import DataParallelGroup

# Multiples of 2^-45 below 2^8 add up in double precision (53 bits) without any rounding.
GRID = 2.0**45


class GradientSum:
    """Adds up gradients and losses, first in this process, then over all in one all-reduce.

    Every number is rounded to a multiple of 2^-45 and added in double precision. Such sums are
    exact, so that their order, and with it the number of processes, leaves no trace. (In single
    precision a gradient that is all but zero changes its sign with the order, and Adam makes
    whole steps of that.)

    Args:
        parameters: Those that are frozen are left alone.
        group: The processes.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], group: DataParallelGroup) -> None:
        self._parameters = [p for p in parameters if p.requires_grad]
        self._group = group
        # The gradients, how often each parameter had one, and the loss.
        self._sizes = [*(p.numel() for p in self._parameters), len(self._parameters), 1]
        self._flat = torch.zeros(sum(self._sizes), dtype=torch.float64, device=group.device)

    def add(self, loss: float) -> None:
        """Add a shard's loss and take the gradients that its backward pass has left."""
        *sums, counts, losses = self._flat.split(self._sizes)
        for index, (parameter, total) in enumerate(zip(self._parameters, sums, strict=True)):
            if parameter.grad is not None:
                total += _on_grid(parameter.grad.reshape(-1))
                counts[index] += 1
                parameter.grad = None
        losses += _on_grid(losses.new_tensor([loss]))

    def reduce(self) -> float:
        """Give every parameter its sum over all processes as gradient; return that of the losses.

        A parameter that has a gradient in some shards counts as zero in the others; one that has
        none in any gets none, so that the optimiser leaves it alone.

        Raises:
            DistributedError: A process is gone.
        """
        self._group.sum(self._flat)
        *sums, counts, loss = self._flat.split(self._sizes)
        for parameter, total, count in zip(self._parameters, sums, counts.tolist(), strict=True):
            if count:
                parameter.grad = total.view_as(parameter).to(parameter.dtype)
        return float(loss)


def _on_grid(numbers: Tensor) -> Tensor:
    return numbers.double().mul(GRID).round_().div_(GRID)
