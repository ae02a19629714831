"""The Ray cluster that a job runs on: the caller's, or one of its own on this machine."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
from collections.abc import Iterator
from typing import Any

from graphmeta.errors import ConfigError, MissingExtraError

# Nothing is reported to anybody, devices are left as they are, and errors come as exceptions.
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
}


def refuse_without_ray(instead: str) -> None:
    """Check that Ray is installed.

    Args:
        instead: What can be done without it.

    Raises:
        MissingExtraError: It is not.
    """
    if importlib.util.find_spec("ray") is None:
        raise MissingExtraError(f'workers need ray; pip install "graphmeta[scale]", or {instead}')


@contextlib.contextmanager
def ray_cluster(workers: int | None) -> Iterator[int]:
    """Yield how many processors the cluster has.

    A cluster that the caller is connected to, or that `RAY_ADDRESS` names, is used and left
    running; else one is started on this machine and stopped at the end.

    Args:
        workers: How many processors a cluster of one's own has; None for those of the machine.
    """
    import ray

    is_ours = not ray.is_initialized()
    if is_ours:
        options: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
        if "RAY_ADDRESS" not in os.environ:
            options |= {"address": "local", "num_cpus": workers, "include_dashboard": False}
        with _environment(QUIET):
            ray.init(**options)
    try:
        yield int(ray.cluster_resources().get("CPU", 0))
    finally:
        if is_ours:
            ray.shutdown()


def refuse_too_many(workers: int, available: int, what: str = "processors") -> None:
    """Check that every worker gets a processor or GPU: Ray would wait for one without a word.

    Raises:
        ConfigError: There are fewer.
    """
    if workers > available:
        raise ConfigError(
            f"workers={workers} exceeds the {available} {what} of the Ray cluster; lower it"
        )


@contextlib.contextmanager
def _environment(wanted: dict[str, str]) -> Iterator[None]:
    """Set variables that are not set, for a while."""
    new = {name: value for name, value in wanted.items() if name not in os.environ}
    os.environ.update(new)
    try:
        yield
    finally:
        for name in new:
            os.environ.pop(name, None)
