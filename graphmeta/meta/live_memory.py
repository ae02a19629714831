"""How much memory tensors hold at a time, counted and not guessed."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter


class LiveMemory(TorchDispatchMode):
    """Counts the bytes of all tensors made inside it that are still held, and their most.

    Sees every operation, those of the backward pass and of `vmap` included, and counts each
    storage once, from when it is made until nothing refers to it. What an operation allocates and
    frees inside itself is not seen, nor what the allocator keeps.

    Attributes:
        held: Bytes held now.
        peak: The most bytes held at a time.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.held = 0
        self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run an operation and count what it made."""
        given = {_key(storage) for storage in _storages((args, kwargs))}
        out = func(*args, **(kwargs or {}))
        for storage in _storages(out):
            key = _key(storage)
            if key in given or key in self._known:  # A view, or written in place.
                continue
            self._known.add(key)
            self.held += storage.nbytes()
            weakref.finalize(storage, self._forget, key, storage.nbytes())
        self.peak = max(self.peak, self.held)
        return out

    def _forget(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.held -= size


def _storages(values: Any) -> Iterator[Any]:
    for value in tree_iter(values):
        if isinstance(value, Tensor) and value.layout == torch.strided:
            yield value.untyped_storage()


def _key(storage: Any) -> int:
    return int(storage._cdata)
