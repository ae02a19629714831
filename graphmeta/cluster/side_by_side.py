"""Calls one function for several items, each in a process of its own, with Ray."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from graphmeta.cluster.ray_cluster import ray_cluster, refuse_too_many, refuse_without_ray
from graphmeta.errors import DistributedError, GraphMetaError

R = TypeVar("R")
# A call whose process dies is begun so often.
TRIES = 4


@contextlib.contextmanager
def side_by_side(
    function: Callable[..., R], *shared: Any, workers: int
) -> Iterator[Callable[[Sequence[Any]], list[R]]]:
    """Yield what returns `function(*shared, item)` for each of some items, in their order.

    The cluster is that of `ray_cluster`; it and what is shared serve all calls inside. A process
    that is killed is started again, and its item done again.

    Args:
        function: What to call; it must come to the same each time.
        shared: Its first arguments, sent to each machine once.
        workers: How many processes work at a time; 0 for this one alone, without Ray.

    Raises:
        ConfigError: The cluster has fewer processors.
        MissingExtraError: There are to be workers, and Ray is not installed.
        DistributedError: Processes died again and again. What is yielded raises it, and any
            `GraphMetaError` of the function.
    """
    if workers == 0:
        yield lambda items: [function(*shared, item) for item in items]
        return
    refuse_without_ray("work in this process with workers=0")
    import ray

    with ray_cluster(workers) as processors:
        refuse_too_many(workers, processors)
        task = ray.remote(num_cpus=1, max_retries=TRIES - 1)(function)
        sent = [ray.put(value) for value in shared]
        yield lambda items: _results([task.remote(*sent, item) for item in items])


def _results(references: list[Any]) -> list[Any]:
    import ray
    import ray.exceptions

    try:
        return list(ray.get(references))
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, GraphMetaError):
            raise error.cause from None  # As it would be raised here.
        raise
    except (ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError) as error:
        raise DistributedError(
            f"processes died {TRIES} times, perhaps for want of memory; run it again with fewer "
            f"workers ({str(error).splitlines()[0]})"
        ) from error
