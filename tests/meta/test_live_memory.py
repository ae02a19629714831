"""Bytes of tensors, counted by hand."""

from __future__ import annotations

import torch
from torch.func import vmap

from graphmeta.meta import LiveMemory


def test_bytes_by_hand() -> None:
    with LiveMemory() as memory:
        a = torch.zeros(1000)  # 4,000 bytes.
        b = a + 1
        assert (memory.held, memory.peak) == (8000, 8000)
        view = b.view(10, 100)[2:]
        b.mul_(2)
        assert memory.held == 8000
        del b
        assert memory.held == 8000  # The view holds it.
        del view
        assert (memory.held, memory.peak) == (4000, 8000)
    del a
    assert memory.held == 0


def test_what_is_saved_for_the_backward_pass_counts() -> None:
    held = []
    for needs_gradient in (False, True):
        with LiveMemory() as memory:
            x = torch.ones(1000, requires_grad=needs_gradient)
            y = (x.exp() + 1).exp()
            held.append(memory.held)
            if needs_gradient:
                y.sum().backward()
                assert memory.peak > held[-1]
    assert held == [8000, 12000]  # The first exponential is kept.


def test_batched_operations_are_seen() -> None:
    with LiveMemory() as memory:
        out = vmap(lambda row: row * 2)(torch.ones(10, 100))
        assert memory.held == 8000 - 4000
        assert out.sum() == 2000
    assert memory.peak == 8000
