"""Devices that are there."""

from __future__ import annotations

import torch

from graphmeta.errors import ConfigError


def usable_device(device: torch.device | str) -> torch.device:
    """Return the device.

    Raises:
        ConfigError: It cannot be used here.
    """
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as error:  # PyTorch asserts that it was built for CUDA.
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"device={str(device)!r} cannot be used ({reason}); use device='cpu'"
        ) from error
