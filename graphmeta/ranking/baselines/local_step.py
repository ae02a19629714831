"""One gradient step of every user's own weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

Weights = Mapping[str, Tensor]


def local_step(
    local: Weights, loss: Callable[[Weights], Tensor], *, lr: float
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return users' own weights after a gradient step, and the gradient.

    A user's gradient that is longer than 1 is cut to that length, without which some steps of a
    large size overflow: each layer's gradient grows with the other layers. Where gradients are
    on, the step is part of their graph, to the second order.

    Args:
        local: The users' weights, `[n_users, *shape]` each; not changed.
        loss: Gives each user's loss, `[n_users]`, with such weights.
        lr: Size of the step.
    """
    is_training = torch.is_grad_enabled()
    with torch.enable_grad():
        if not is_training:
            local = {name: weight.detach().requires_grad_() for name, weight in local.items()}
        slopes = torch.autograd.grad(
            loss(local).sum(), list(local.values()), create_graph=is_training
        )
    length = torch.stack([slope.square().flatten(1).sum(1) for slope in slopes]).sum(0)
    # Clamped before the root, whose own gradient is infinite at 0.
    scale = length.clamp(min=1).rsqrt()
    gradient = {
        name: slope * scale.view(-1, *[1] * (slope.dim() - 1))
        for name, slope in zip(local, slopes, strict=True)
    }
    return {name: weight - lr * gradient[name] for name, weight in local.items()}, gradient
