"""Gradient training that keeps averaged weights of several stages."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import Tensor

from graphmeta.errors import ConfigError, NonFiniteError

# Stages kept of one training.
STAGES = 5
# Steps after which the average looks back as far as it ever will, times 1 - averaging.
WARM_UP = 10

State = TypeVar("State")


@dataclass(frozen=True)
class Checkpoints(Generic[State]):
    """States of one training after equal parts of it, so that stopping early is a choice.

    Few-shot users ask for less training than others, and each support size for its own amount.
    With the stages at hand the amount is tuned without a new fit.
    """

    stages: tuple[State, ...]

    def at(self, share: float) -> State:
        """Return the state after about that share of the training.

        Raises:
            ConfigError: `share` is not above 0 and at most 1.
        """
        check_share(stop_at=share)
        return self.stages[max(1, round(share * len(self.stages))) - 1]


def train(
    parameters: Sequence[Tensor],
    loss: Callable[[], Tensor],
    *,
    num_steps: int,
    lr: float,
    averaging: float,
) -> Checkpoints[tuple[Tensor, ...]]:
    """Minimise `loss` with Adam and return the averaged parameters of each stage.

    The average is exponential over steps, `a <- averaging * a + (1 - averaging) * p`, and looks
    back less far in the first steps. It takes most of the noise of small batches out of the
    weights (Polyak and Juditsky, 1992).

    Args:
        parameters: Leaves that require gradients; changed in place.
        loss: Draws a batch and returns its loss.
        num_steps: Steps in all.
        lr: Step size.
        averaging: Share of the average that a step keeps; 0 does not average.

    Raises:
        NonFiniteError: A loss is NaN or infinite.
    """
    optimiser = torch.optim.Adam(parameters, lr=lr)
    average = [p.detach().clone() for p in parameters]
    ends = {math.ceil(num_steps * stage / STAGES) for stage in range(1, STAGES + 1)}
    stages = []
    for step in range(1, num_steps + 1):
        value = loss()
        if not bool(value.isfinite()):
            raise NonFiniteError(
                f"the loss of step {step} of {num_steps} is {value.item()}; lower lr={lr}"
            )
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        kept = min(averaging, step / (step + WARM_UP))
        for mean, parameter in zip(average, parameters, strict=True):
            mean.lerp_(parameter.detach(), 1 - kept)
        if step in ends:
            stages.append(tuple(mean.clone() for mean in average))
    return Checkpoints(tuple(stages))


def user_batches(n_users: int, size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Yield rows of shuffled users without end, all once before any comes again.

    Shapes:
        output: int64, at most `[size]`.
    """
    while True:
        yield from torch.randperm(n_users, generator=generator).split(size)


def check_share(**values: float) -> None:
    """Refuse shares that are not above 0 and at most 1.

    Raises:
        ConfigError: One of them is not; the message names it.
    """
    for name, value in values.items():
        if not 0 < value <= 1:
            raise ConfigError(f"{name}={value} must be above 0 and at most 1; change it")


def check_rate(**values: float) -> None:
    """Refuse rates outside 0 up to, but not including, 1.

    Raises:
        ConfigError: One of them is; the message names it.
    """
    for name, value in values.items():
        if not 0 <= value < 1:
            raise ConfigError(f"{name}={value} must be at least 0 and below 1; change it")
