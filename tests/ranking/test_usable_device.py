"""A device that is not there is refused in words."""

from __future__ import annotations

import pytest
import torch

from graphmeta.errors import ConfigError
from graphmeta.ranking.usable_device import usable_device


def test_devices() -> None:
    assert usable_device("cpu") == torch.device("cpu")
    for wrong in ("abacus", "cuda:99"):
        with pytest.raises(ConfigError, match=f"device='{wrong}' cannot be used"):
            usable_device(wrong)
