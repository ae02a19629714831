"""First weights that depend on a seed of their own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def weights_drawn_by(seed: int) -> Iterator[None]:
    """Let modules made inside draw their first weights from `seed`.

    PyTorch's layers know the global generator only; the caller's state of it is put back.
    """
    with torch.random.fork_rng(devices=[]):
        torch.random.set_rng_state(torch.Generator().manual_seed(seed).get_state())
        yield
