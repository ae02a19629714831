"""What follows from weights alone, kept until one of them changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")


class AtRest(Generic[T]):
    """Keeps what was made from some weights, and makes it anew where one has changed since.

    A change is seen by the tensor's version, which every write in place raises. Where gradients are
    asked for nothing is kept, since they would be lost.
    """

    def __init__(self) -> None:
        self._made: list[T] = []
        # In a function, as where weights lie in memory is no part of what a model holds.
        self._is_of: Callable[[object], bool] = lambda state: False

    def get(self, weights: Iterable[Tensor], make: Callable[[], T]) -> T:
        """Return what `make` returns, made now or before.

        Args:
            weights: All tensors that it follows from.
            make: Makes it.
        """
        if torch.is_grad_enabled():
            return make()
        state = tuple((weight.data_ptr(), weight._version) for weight in weights)
        if not self._is_of(state):
            self._made, self._is_of = [make()], lambda other: other == state
        return self._made[0]

    def __deepcopy__(self, memo: object) -> AtRest[T]:
        """Return an empty one: the copied weights are others."""
        return AtRest()

    def __reduce__(self) -> tuple[type[AtRest[T]], tuple[()]]:
        """Leave what is kept out of pickles: it is made anew where it is needed."""
        return AtRest, ()
