"""How much memory meta-training will take, told before it begins."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from graphmeta.compiled import has_numba
from graphmeta.encoders.catalogue_head import CatalogueHead
from graphmeta.errors import ConfigError, OutOfMemoryError
from graphmeta.meta.learner import Learner
from graphmeta.meta.live_memory import LiveMemory
from graphmeta.meta.outer_loss import OuterDraw, OuterLoss
from graphmeta.meta.precision import Precision
from graphmeta.tasks.episode_loader import EpisodeLoader

# Batches that are tried; the step of a larger one is read off the line through them.
TRIED = (8, 24)
MIB = 2**20
# What the allocator of the C library holds beyond the tensors, and what the first step makes
# libraries load, numba's compiled loops more than all others: measured, see
# experiments/results/memory.md.
ALLOCATOR_SHARE, FIRST_STEP, COMPILED_LOOPS = 0.5, 15 * MIB, 45 * MIB
CGROUP = Path("/sys/fs/cgroup")
# Of the memory that is free, how much a training may be expected to take.
SAFE_SHARE = 0.9


@dataclass(frozen=True)
class MemoryEstimate:
    """The most memory that training holds at a time, beyond what is held before.

    Args:
        optimizer: Bytes of the optimiser's moments and of the weights' mean.
        step: Bytes of a step's tensors, activations for the backward pass first of all.
        allocator: Bytes that the process holds beyond its tensors; 0 on a GPU, where it is not
            measured.
        per_user: Bytes by which one more user at once raises the total.
        n_users: Users at once.
    """

    optimizer: int
    step: int
    allocator: int
    per_user: int
    n_users: int

    @property
    def total(self) -> int:
        """Bytes in all."""
        return self.optimizer + self.step + self.allocator

    def __str__(self) -> str:
        """Return the estimate in MiB."""
        return (
            f"{self.total / MIB:,.0f} MiB ({self.step / MIB:,.0f} for a step's tensors, "
            f"{self.optimizer / MIB:,.0f} for the optimiser, {self.allocator / MIB:,.0f} for the "
            "allocator)"
        )


def estimate_memory(
    learner: Learner,
    head: CatalogueHead,
    loader: EpisodeLoader,
    *,
    num_sampled: int | None = None,
    precision: Precision = "float32",
    n_shards: int = 1,
) -> MemoryEstimate:
    """Return what an outer step of `MetaTrainer` with these settings will hold.

    Nothing is trained: two small batches with the largest support run forth and back, their
    tensors are counted (`LiveMemory`), and the line through both gives that of `batch_size`. So it
    holds for any encoder and learner. A process holds more than its tensors, as the allocator keeps
    what was freed; that share is one number for all models.

    Args:
        learner: Left as it is.
        head: Left as it is; on the device of the learner.
        loader: Draws the episodes.
        num_sampled: Draws that stand for the catalogue, as in `MetaTrainer`.
        precision: What losses are computed in.
        n_shards: Parts in which a batch runs.

    Raises:
        ConfigError: A number is out of its range, or there is no such precision.
    """
    if n_shards < 1:
        raise ConfigError(f"n_shards={n_shards} must be at least 1")
    outer = OuterLoss(
        learner,
        head,
        loader,
        adapted_share=1.0,
        num_sampled=num_sampled,
        precision=precision,
    )
    return estimate_of(outer, n_shards=n_shards)


def estimate_of(outer: OuterLoss, *, n_shards: int = 1) -> MemoryEstimate:
    """Return what `estimate_memory` tells, of an outer loss that is there already.

    Args:
        outer: Left as it is, and its learner and head too.
        n_shards: Parts in which a batch runs.
    """
    learner, head = outer.learner, outer.head
    at_once = min(-(-outer.loader.batch_size // n_shards), len(outer.loader.users))
    small, large = (min(n, at_once) for n in TRIED)
    with _left_as_they_are(learner, head), torch.random.fork_rng(devices=[]):
        peaks = {n: _peak_of_step(outer, n) for n in {small, large}}
    slope = (peaks[large] - peaks[small]) / max(1, large - small)
    parameters = [*learner.parameters(), *head.parameters()]
    weights = sum(p.numel() * p.element_size() for p in parameters if p.requires_grad)
    # The gradients of a step are in its peak; Adam's two moments and the weights' mean stay.
    optimizer = 3 * weights
    step = int(peaks[large] + slope * (at_once - large))
    share = ALLOCATOR_SHARE if head.bias.device.type == "cpu" else 0.0
    loaded = FIRST_STEP + (COMPILED_LOOPS if has_numba() else 0)
    allocator = int(share * (optimizer + step) + loaded) if share else 0
    return MemoryEstimate(
        optimizer, step, allocator, int(max(slope, 0.0) * (1 + share)), n_users=at_once
    )


def refuse_out_of_memory(
    estimate: MemoryEstimate, *, device: torch.device, free: int | None = None
) -> None:
    """Refuse a configuration that would run out of memory.

    Args:
        estimate: What the training will hold.
        device: Where it trains.
        free: Bytes that are free; asked of the device where it is None.

    Raises:
        OutOfMemoryError: It does not fit; the message names the setting to lower, and how far.
    """
    free = free_memory(device) if free is None else free
    if free is None or estimate.total <= SAFE_SHARE * free:
        return
    left = SAFE_SHARE * free - (estimate.total - estimate.per_user * estimate.n_users)
    fitting = int(left / max(1, estimate.per_user))
    advice = (
        f"{fitting} users at once fit, not {estimate.n_users}; lower batch_size or raise n_shards"
        if fitting >= 1
        else "not even one user fits; lower channels or num_neighbors"
    )
    raise OutOfMemoryError(
        f"training needs {estimate}, but {free / MIB:,.0f} MiB are free on {device}; {advice}"
    )


def free_memory(device: torch.device) -> int | None:
    """Return the bytes that can still be allocated on a device, None where it does not say."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    found = [free for free in (_free_of_machine(), _free_of_container(CGROUP)) if free is not None]
    return max(0, min(found)) if found else None


def _free_of_machine() -> int | None:
    with contextlib.suppress(OSError, StopIteration, ValueError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        line = next(line for line in lines if line.startswith("MemAvailable"))
        return int(line.split()[1]) * 1024
    with contextlib.suppress(ValueError, OSError, AttributeError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
    return None


def _free_of_container(folder: Path) -> int | None:
    """Return what a container's limit leaves, None where it has none."""
    with contextlib.suppress(OSError, ValueError):  # A limit of "max" is none.
        limit = int((folder / "memory.max").read_text())
        used = int((folder / "memory.current").read_text())
        held = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        # Files in memory are let go where it is needed.
        return limit - used + sum(int(held.get(f"{n}_file", 0)) for n in ("active", "inactive"))
    return None


def _peak_of_step(outer: OuterLoss, n_users: int) -> int:
    """Return the most bytes that an adapted step of some users with the largest support holds."""
    generator = torch.Generator().manual_seed(0)
    # Spread over all: long and short histories.
    users = outer.loader.users[torch.linspace(0, len(outer.loader.users) - 1, n_users).long()]
    draw = OuterDraw(outer.loader.k_max, in_order=False, is_adapted=True)
    with LiveMemory() as memory:
        loss = outer(users, draw, generator, names_culprits=False)
        loss.backward()
    return memory.peak


@contextlib.contextmanager
def _left_as_they_are(*modules: nn.Module) -> Iterator[None]:
    """Put buffers, gradients and mode back as they were."""
    whole = nn.ModuleList(modules)
    persistent = whole.state_dict().keys()  # The others are of the graph, and large.
    buffers = {n: value.clone() for n, value in whole.named_buffers() if n in persistent}
    gradients = [(p, p.grad) for p in whole.parameters()]
    modes = [(module, module.training) for module in whole.modules()]
    for parameter, _ in gradients:
        parameter.grad = None
    whole.train()
    try:
        yield
    finally:
        for parameter, gradient in gradients:
            parameter.grad = gradient
        for module, mode in modes:
            module.training = mode
        for name, value in whole.named_buffers():
            if name in buffers:
                value.copy_(buffers[name])
