"""The numbers that training computes with."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Literal, get_args

import torch

from graphmeta.errors import ConfigError

Precision = Literal["float32", "bfloat16"]


def computing_in(precision: Precision, *, device: torch.device) -> AbstractContextManager[object]:
    """Return a context in which losses are computed, to be entered again and again.

    With "bfloat16" dense products run in bfloat16 and what needs the range or the digits, such as
    softmax, logarithms and sums, in float32 (automatic mixed precision: Micikevicius et al., ICLR
    2018; no scaling of the loss is needed, as bfloat16 reaches as far as float32). Weights,
    gradients of weights and the optimiser stay float32, and so do the sparse products of the votes.

    Raises:
        ConfigError: There is no such precision, or the device cannot compute in it.
    """
    if precision not in get_args(Precision):
        raise ConfigError(f"precision={precision!r} must be one of {get_args(Precision)}")
    if precision == "float32":
        return nullcontext()
    if not torch.amp.is_autocast_available(device.type):
        raise ConfigError(
            f"precision='bfloat16' cannot be had on {str(device)!r}; use precision='float32'"
        )
    return torch.autocast(device.type, dtype=torch.bfloat16)
