"""What data-parallel meta-training says between its processes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from graphmeta.errors import ConfigError, DistributedError, GraphMetaError

T = TypeVar("T")
# Weights further apart are not those of one model; equal sums on equal machines leave no gap.
TOLERANCE = 1e-5
WRAPPERS = {"DistributedDataParallel", "DataParallel", "FullyShardedDataParallel", "FSDPModule"}


class DataParallelGroup:
    """The processes of one training: PyTorch's default group where there is one, else one.

    Each process, a *rank*, holds the whole model and runs its shards of each outer step. The
    gradients are summed over ranks in one all-reduce, after the inner loops and outside of
    autograd (`GradientSum`). (Wrapped modules cannot do that: `DistributedDataParallel` waits for
    its own `forward`, and `torch.func.functional_call` on the module inside never calls it.)

    Every method but `shards` is a collective: all ranks call it, in the same order.

    Args:
        device: Where the model lies; the backend must carry tensors there.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        is_alone = not (dist.is_available() and dist.is_initialized())
        self.rank, self.size = (0, 1) if is_alone else (dist.get_rank(), dist.get_world_size())

    def shards(self, n_shards: int) -> range:
        """Return the numbers of the shards that this rank runs."""
        return range(self.rank, n_shards, self.size)

    def sum(self, tensor: Tensor) -> None:
        """Sum a tensor over ranks in place.

        Raises:
            DistributedError: A rank is gone.
        """
        if self.size > 1:
            with _rank_may_be_gone():
                dist.all_reduce(tensor)

    def copy_from_first(self, tensors: Iterable[Tensor]) -> None:
        """Overwrite the tensors with those of rank 0.

        Raises:
            DistributedError: A rank is gone.
        """
        if self.size == 1:
            return
        for tensor in tensors:
            whole = tensor.detach().contiguous()
            with _rank_may_be_gone():
                dist.broadcast(whole, src=0)
            tensor.detach().copy_(whole)

    def from_first(self, compute: Callable[[], T]) -> T:
        """Return what `compute` returns on rank 0, the only one to call it; or raise its error.

        Raises:
            DistributedError: A rank is gone.
        """
        if self.size == 1:
            return compute()
        sent: list[Any] = [None, None]
        if self.rank == 0:
            try:
                sent[0] = compute()
            except GraphMetaError as error:  # The other ranks wait: they must hear of it.
                sent[1] = error
        with _rank_may_be_gone():
            dist.broadcast_object_list(sent, src=0, device=self._object_device)
        if sent[1] is not None:
            raise sent[1]
        result: T = sent[0]
        return result

    def gather(self, value: T) -> list[T]:
        """Return the values of all ranks, in their order.

        Raises:
            DistributedError: A rank is gone.
        """
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        with _rank_may_be_gone():
            dist.all_gather_object(values, value)
        return values

    def refuse_other_settings(self, settings: Mapping[str, object]) -> None:
        """Check that all ranks describe the same training.

        Raises:
            ConfigError: They do not; the message names the first setting that differs.
            DistributedError: A rank is gone.
        """
        first, *others = self.gather(dict(settings))
        for rank, other in enumerate(others, start=1):
            for name, value in first.items():
                if other.get(name) != value:
                    raise ConfigError(
                        f"rank {rank} has {name}={other.get(name)} where rank 0 has {value}; give "
                        "every rank the same settings, model and training graph"
                    )

    def refuse_other_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Check that all ranks hold the weights of rank 0; costs one broadcast of them.

        Raises:
            DistributedError: They do not, by more than 1e-5; the message names the worst. Or a
                rank is gone.
        """
        named = {name: w.detach().reshape(-1) for name, w in weights.items() if w.numel()}
        if self.size == 1 or not named:
            return
        own = torch.cat(list(named.values()))
        first = own.clone()
        self.copy_from_first([first])
        gaps = (own - first).abs().nan_to_num(nan=torch.inf)
        parts = gaps.split([len(weight) for weight in named.values()])
        worst = torch.stack([part.max() for part in parts])
        with _rank_may_be_gone():
            dist.all_reduce(worst, op=dist.ReduceOp.MAX)
        if float(worst.max()) > TOLERANCE:
            raise DistributedError(
                f"the ranks no longer hold the same weights: {list(named)[int(worst.argmax())]} is "
                f"{float(worst.max()):.2g} apart; change weights only through the trainer, which "
                "sums the gradients over ranks, and go on from the last checkpoint"
            )

    @property
    def _object_device(self) -> torch.device | None:
        return self.device if self.device.type == "cuda" else None


def refuse_wrapped(*modules: nn.Module) -> None:
    """Check that no module is wrapped for data parallelism by PyTorch.

    Raises:
        ConfigError: One is, itself or inside.
    """
    for module in modules:
        for name, inner in module.named_modules():
            wrapper = WRAPPERS & {base.__name__ for base in type(inner).__mro__}
            if wrapper:
                where = f"{name} of the {type(module).__name__}" if name else "the module"
                raise ConfigError(
                    f"{where} is wrapped in {min(wrapper)}, which does not synchronise the "
                    "gradients of adapted weights; pass the plain module, the trainer sums "
                    "its gradients over ranks"
                )


@contextmanager
def _rank_may_be_gone() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise DistributedError(
            f"a rank is gone, or slower than the group's timeout ({reason}); start all ranks "
            "again: with the same checkpoint they go on from its last epoch"
        ) from error
