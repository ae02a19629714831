"""The outer gradient of a batch of training users, in one part or in shards."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from graphmeta.errors import NonFiniteError
from graphmeta.meta.data_parallel import DataParallelGroup
from graphmeta.meta.gradient_sum import GradientSum
from graphmeta.meta.outer_loss import OuterDraw, OuterLoss


class OuterGradient:
    """Gives parameters the gradient of an outer loss.

    Args:
        outer_loss: What is differentiated.
        modules: Hold the parameters.
        group: The processes, who share the shards out.
        n_shards: Parts of a batch, each with draws of its own.
        names_culprits: Find out which users make a loss not finite.
    """

    def __init__(
        self,
        outer_loss: OuterLoss,
        modules: nn.Module,
        group: DataParallelGroup,
        *,
        n_shards: int,
        names_culprits: bool,
    ) -> None:
        self._outer_loss, self._modules, self._group = outer_loss, modules, group
        self._n_shards, self._names_culprits = n_shards, names_culprits

    def backward(self, users: Tensor, generator: torch.Generator) -> float:
        """Leave the gradients, on all processes the same; return the loss.

        Args:
            users: Rows of the training graph.
            generator: Draws what they share, supports, neighbours and left-out edges.

        Shapes:
            users: int64, `[n_users]`.

        Raises:
            NonFiniteError: The loss of some users is not; on all processes, whoever has them.
            DistributedError: A process is gone.
        """
        draw = self._outer_loss.draw(generator)
        if self._n_shards == 1:
            loss, reason = self._of_shard(users, draw, generator, share=1.0)
        else:
            loss, reason = self._of_shards(users, draw, generator)
        if not math.isfinite(loss):
            reasons = [reason for reason in self._group.gather(reason) if reason]
            raise NonFiniteError("; ".join(reasons) or f"the sum of the outer losses is {loss}")
        return loss

    def _of_shards(
        self, users: Tensor, draw: OuterDraw, generator: torch.Generator
    ) -> tuple[float, str]:
        """Leave the gradients; return the loss of all processes, and why it is NaN in this one."""
        seeds = torch.randint(2**62, (self._n_shards,), generator=generator).tolist()
        shards = users.tensor_split(self._n_shards)
        n_query = [self._outer_loss.n_query(shard, draw) for shard in shards]
        gradients, reasons = GradientSum(self._modules.parameters(), self._group), []
        for number in self._group.shards(self._n_shards):
            if n_query[number]:
                own = torch.Generator().manual_seed(seeds[number])
                share = n_query[number] / sum(n_query)
                loss, reason = self._of_shard(shards[number], draw, own, share=share)
                gradients.add(loss)
                reasons += [reason] if reason else []
        return gradients.reduce(), "; ".join(reasons)

    def _of_shard(
        self, users: Tensor, draw: OuterDraw, generator: torch.Generator, *, share: float
    ) -> tuple[float, str]:
        """Leave the gradients of a shard; return its part of the loss, or NaN and why."""
        try:
            loss = self._outer_loss(users, draw, generator, names_culprits=self._names_culprits)
        except NonFiniteError as error:
            return math.nan, str(error)
        (loss * share).backward()
        return loss.item() * share, ""
