"""The logarithm of a mixture over the catalogue, in few passes."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable


def log_mixture(
    first: Float[Tensor, "n m"],
    second: Float[Tensor, "#n m"],
    first_weight: Float[Tensor, "n 1"],
    second_weight: Float[Tensor, "n 1"],
) -> Float[Tensor, "n m"]:
    """Return `log(w first + v second)`, differentiable once, in all but `second`.

    Over a catalogue what counts is the passes through memory. This takes 3, and 4 for the
    gradient, where a formula of single operations takes twice as many.

    Args:
        first: Its mixture with `second` is above 0.
        second: Takes no gradient.
        first_weight: w, by row.
        second_weight: v, by row.
    """
    if torch.is_grad_enabled():
        out: Tensor = _LogMixture.apply(first, second, first_weight, second_weight)  # type: ignore[no-untyped-call]
        return out
    return _mixture(first, second, first_weight, second_weight).log_()


def _mixture(first: Tensor, second: Tensor, w: Tensor, v: Tensor) -> Tensor:
    return (first * w).addcmul_(second, v)


class _LogMixture(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, first: Tensor, second: Tensor, w: Tensor, v: Tensor) -> Tensor:
        mixture = _mixture(first, second, w, v)
        ctx.save_for_backward(first, second, w, mixture)
        return mixture.log()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, Tensor, Tensor]:
        first, second, w, mixture = ctx.saved_tensors
        rate = gradients[0] / mixture
        of_w = torch.einsum("ij,ij->i", rate, first).unsqueeze(1)
        of_v = torch.einsum("ij,ij->i", rate, second).unsqueeze(1)
        return rate.mul_(w), None, of_w, of_v
