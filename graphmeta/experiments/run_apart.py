"""A measurement in a process of its own, whose memory is then its own too."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")


def run_apart(measure: Callable[..., Found], *arguments: object) -> Found:
    """Return what a function of a module returns in a new process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(measure, arguments)
