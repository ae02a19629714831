"""What follows from weights alone, kept until one of them changes."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_post_hook

T = TypeVar("T")


class _Steps:
    """Counts the steps of all optimisers: a fused one writes without raising a version."""

    n = 0

    @classmethod
    def note(cls, *_: Any) -> None:
        cls.n += 1


register_optimizer_step_post_hook(_Steps.note)


class AtRest(Generic[T]):
    """Keeps what was made from some weights, and makes it anew where one has changed since.

    A change is another tensor, another place in memory, or another version, which writes in place
    raise. A fused optimiser's do not, so that a step of any optimiser counts as a change too. Where
    gradients are asked for nothing is kept, since they would be lost.
    """

    def __init__(self) -> None:
        self._made: list[T] = []
        # In a function, as where weights lie in memory is no part of what a model holds.
        self._is_of: Callable[[Sequence[Tensor]], bool] = lambda weights: False

    def get(self, weights: Sequence[Tensor], make: Callable[[], T]) -> T:
        """Return what `make` returns, made now or before.

        Args:
            weights: All tensors that it follows from.
            make: Makes it.
        """
        if torch.is_grad_enabled():
            return make()
        if not self._is_of(weights):
            self._made, self._is_of = [make()], _recognises(weights)
        return self._made[0]

    def __deepcopy__(self, memo: object) -> AtRest[T]:
        """Return an empty one: the copied weights are others."""
        return AtRest()

    def __reduce__(self) -> tuple[type[AtRest[T]], tuple[()]]:
        """Leave what is kept out of pickles: it is made anew where it is needed."""
        return AtRest, ()


def _recognises(weights: Sequence[Tensor]) -> Callable[[Sequence[Tensor]], bool]:
    # Not their addresses alone: a new tensor may lie where a dead one lay.
    n_steps = _Steps.n
    known = [(weakref.ref(weight), weight.data_ptr(), weight._version) for weight in weights]

    def is_of(others: Sequence[Tensor]) -> bool:
        return (
            n_steps == _Steps.n
            and len(others) == len(known)
            and all(
                ref() is other and place == other.data_ptr() and version == other._version
                for (ref, place, version), other in zip(known, others, strict=True)
            )
        )

    return is_of
