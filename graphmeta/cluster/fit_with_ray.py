"""Trains a recommender on several workers of a Ray cluster."""

from __future__ import annotations

import contextlib
import io
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch_geometric.data import HeteroData

from graphmeta.cluster.ray_cluster import ray_cluster, refuse_too_many, refuse_without_ray
from graphmeta.data.cold_users import ColdUsers
from graphmeta.errors import (
    ConfigError,
    DistributedError,
    GraphMetaError,
    OutOfMemoryError,
    OutputError,
)
from graphmeta.ranking import ColdStartRecommender

CHECKPOINT, RAY = "training.safetensors", "ray"


def fit_with_ray(
    model: ColdStartRecommender,
    train: HeteroData,
    validation: ColdUsers | None = None,
    *,
    folder: str | Path,
    workers: int | None = None,
    restarts: int = 3,
    on_epoch: Callable[[int, int, float], None] | None = None,
) -> ColdStartRecommender:
    """Return the recommender that `model.fit` would make, trained by workers of Ray.

    Ray Train starts the workers and joins them in a process group, as `torchrun` does; each calls
    `model.fit` with a checkpoint in the folder. So the weights are those of `torchrun` with as many
    processes, and of one process with the same `n_shards`. When a worker dies Ray starts all again,
    and they go on from the last epoch; so does the same call after whatever stopped it.

    The cluster is the one that the caller is connected to, or that `RAY_ADDRESS` names; else one is
    started on this machine and stopped at the end. The model, the graph and the validation users
    are sent to each machine once, not to each worker; what is fitted comes back once. Workers
    compute in one thread each unless `OMP_NUM_THREADS` is set.

    Args:
        model: Settings, and the learner if it is not the default one; it is left as it is. With
            `device="cuda"` each worker has a GPU of its own.
        train: The training graph.
        validation: Held-out users that choose the epoch and the gate.
        folder: Holds the checkpoint. Of several machines all must see it under the same path.
        workers: How many processes; None for as many as the cluster has processors, or GPUs.
        restarts: How often the workers may be started again.
        on_epoch: As for `fit`: called in every worker after each epoch, so it and what it holds
            are sent there.

    Raises:
        MissingExtraError: Ray is not installed.
        ConfigError: There are fewer processors or GPUs than workers, or a number is out of range.
        OutputError: The folder cannot be made, or the checkpoint not be written.
        OutOfMemoryError: Training would need more memory than is free.
        DistributedError: Workers died more often than `restarts`.
        GraphMetaError: Anything else that `fit` raises.
    """
    if (workers is not None and workers < 1) or restarts < 0:
        raise ConfigError(f"workers={workers} must be at least 1 and restarts={restarts} 0 or more")
    refuse_without_ray("fit in this process with model.fit")
    import ray.train

    folder = Path(folder).absolute()  # Ray's workers begin in a folder of their own.
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {folder}: {error.strerror}") from error
    on_gpu = torch.device(model.device).type == "cuda"
    with ray_cluster(workers) as processors, _interrupts_as_before():
        available, what = processors, "processors"
        if on_gpu:
            available, what = int(ray.cluster_resources().get("GPU", 0)), "GPUs"
        workers = workers or max(1, available)
        refuse_too_many(workers, available, what)
        job = ray.put((model, train, validation, folder / CHECKPOINT, on_epoch))
        trainer = _trainer(job, folder, workers, restarts, on_gpu=on_gpu)
        try:
            result = trainer.fit().return_value
        except ray.train.TrainingFailedError as error:
            raise _told(error) from error
        finally:
            shutil.rmtree(folder / RAY, ignore_errors=True)
    if isinstance(result, GraphMetaError):
        raise result
    fitted: ColdStartRecommender = torch.load(
        io.BytesIO(result), map_location=model.device, weights_only=False
    )
    fitted.device = model.device
    return fitted


def _trainer(job: Any, folder: Path, workers: int, restarts: int, *, on_gpu: bool) -> Any:
    import ray.train
    import ray.train.torch

    return ray.train.torch.TorchTrainer(
        _fit,
        train_loop_config={"job": job},
        scaling_config=ray.train.ScalingConfig(num_workers=workers, use_gpu=on_gpu),
        run_config=ray.train.RunConfig(
            name=RAY,
            storage_path=str(folder),
            failure_config=ray.train.FailureConfig(max_failures=restarts),
        ),
    )


def _fit(config: dict[str, Any]) -> bytes | GraphMetaError:
    """Fit as one of the workers; return the fitted recommender, or what is wrong with the call.

    What Ray hears of as an exception it tries again. That helps where a worker is gone or memory
    is short; any other error comes to all workers alike, however often they try.
    """
    import ray.cloudpickle
    import ray.train.torch

    model, train, validation, checkpoint, on_epoch = ray.get(config["job"])
    if torch.device(model.device).type == "cuda":
        model.device = ray.train.torch.get_device()  # This worker's own.
    try:
        model.fit(train, validation, checkpoint=checkpoint, on_epoch=on_epoch)
    except (DistributedError, OutOfMemoryError):
        raise
    except GraphMetaError as error:
        return error
    # As bytes, since Ray's controller passes it on and has no GPU.
    buffer = io.BytesIO()
    torch.save(model, buffer, pickle_module=ray.cloudpickle)
    return buffer.getvalue()


def _told(error: Any) -> GraphMetaError:
    """Return the last failure of the workers as an error of graphmeta."""
    failures = [*getattr(error, "worker_failures", {}).values()]
    for failure in failures:
        if isinstance(failure, OutOfMemoryError):
            return failure
    failure = failures[0] if failures else getattr(error, "controller_failure", error)
    first_line = str(failure).partition("\n")[0]
    return DistributedError(
        f"Ray cannot keep the workers alive ({type(failure).__name__}: {first_line}); run it again "
        "to go on from the last epoch"
    )


@contextlib.contextmanager
def _interrupts_as_before() -> Iterator[None]:
    """Take back what Ray Train does on Ctrl-C: it would end the caller's process later on."""
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, before)
