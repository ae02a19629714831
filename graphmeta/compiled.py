"""Loops that numba compiles, where it is installed."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, partial, wraps
from threading import Lock
from typing import Any, TypeVar

T = TypeVar("T")


_is_left_out: ContextVar[bool] = ContextVar("numba is left out", default=False)


def has_numba() -> bool:
    """Return whether loops can be compiled; the extra `fast` brings numba."""
    return _is_installed() and not _is_left_out.get()


@contextmanager
def without_numba() -> Iterator[None]:
    """Do as if numba were not installed, to compare the two ways."""
    before = _is_left_out.set(True)
    try:
        yield
    finally:
        _is_left_out.reset(before)


@cache
def _is_installed() -> bool:
    return importlib.util.find_spec("numba") is not None


def compiled(loop: Callable[..., T]) -> Callable[..., T]:
    """Return a loop over NumPy arrays that is compiled at its first call, not at import.

    It runs in one thread, without Python's lock. Ask `has_numba` first: there must be another way
    where numba is not installed. The machine code is kept beside the source for the next process,
    where that folder, or the one that numba has for it, can be written to.

    Args:
        loop: A function that numba can compile: numbers, arrays and loops.
    """
    lock = Lock()
    made: list[Callable[..., T]] = []

    @wraps(loop)
    def call(*arguments: Any) -> T:
        if not made:
            with lock:
                if not made:
                    made.append(_compile(loop))
        return made[0](*arguments)

    return call


def _compile(loop: Callable[..., T]) -> Callable[..., T]:
    njit = partial(importlib.import_module("numba").njit, nogil=True)
    try:
        fast: Callable[..., T] = njit(cache=True)(loop)
    except RuntimeError:  # There is no folder to keep the machine code in.
        fast = njit()(loop)
    return fast
