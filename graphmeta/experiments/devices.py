"""Trains the same on several devices and in several precisions, in turn, and compares.

Run it with `python -m graphmeta.experiments.devices --sides cpu cuda cuda/bfloat16 --data ml-1m
--data-root FOLDER`. All sides take the same draws; what differs is where and in which numbers they
compute.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data import ColdSplit, Support
from graphmeta.errors import ConfigError
from graphmeta.experiments.fitted_splits import made_by, run_data_of, run_report, split_options
from graphmeta.experiments.markdown_table import markdown_table
from graphmeta.experiments.ways_table import QUALITY, quality_rows
from graphmeta.meta import estimate_memory
from graphmeta.meta.precision import Precision, computing_in
from graphmeta.ranking import ColdStartRecommender, evaluate
from graphmeta.ranking.usable_device import usable_device
from graphmeta.tasks.episode import RATES
from graphmeta.tasks.episode_loader import EpisodeLoader

PROGRAM = "graphmeta.experiments.devices"
MIB = 2**20
# Batches whose sampling is timed.
SAMPLED = 20
# Users whose scores are compared across devices.
USERS = 256


@dataclass(frozen=True)
class Side:
    """Where and in which numbers to train.

    Args:
        device: The device's name.
        precision: What losses are computed in.
    """

    device: str
    precision: Precision

    @classmethod
    def of(cls, text: str) -> Side:
        """Return the side that a word of the command line names.

        Raises:
            ConfigError: The device is not there, or there is no such precision.
        """
        device, _, precision = text.partition("/")
        side = cls(device, precision or "float32")  # type: ignore[arg-type]
        computing_in(side.precision, device=usable_device(device))
        return side

    def __str__(self) -> str:
        """Return what a table calls it."""
        return f"{self.device}, {self.precision}"


@dataclass(frozen=True)
class DeviceRun:
    """What came of one training.

    Args:
        side: Where it was.
        seed: The split's.
        losses: The mean outer loss of every epoch.
        step: Seconds of an outer step, the median over the epochs after the first.
        sampling: Seconds of a step that go to drawing supports and subgraphs, on the processor.
        told: Bytes that the memory estimate tells.
        peak: The most bytes of tensors that the device held beyond model and graph; None on the
            processor, which does not count them.
        per_user: The test users' figures.
        gap: How far the scores of this model, computed on the first side's device, are from its
            own at most.
    """

    side: Side
    seed: int
    losses: list[float]
    step: float
    sampling: float
    told: int
    peak: int | None
    per_user: pd.DataFrame
    gap: float


def main(argv: list[str] | None = None) -> int:
    """Train, rank, print tables and return the exit code: 2 where that cannot be done."""
    parser = split_options(PROGRAM)
    parser.set_defaults(epochs=3)
    parser.add_argument(
        "--sides",
        nargs="+",
        default=["cpu", "cpu/bfloat16"],
        help="devices, each with /bfloat16 for that precision; the first is compared with",
    )
    parser.add_argument("--k", type=int, nargs="+", default=[1, 3, 5, 10], help="items shown")
    parser.add_argument("--batch-size", type=int, default=64, help="users per outer step")
    parser.add_argument("--channels", type=int, default=64, help="width of the embeddings")
    typed = parser.parse_args(argv)
    return run_report(typed, lambda: _report(typed, argv))


def trained(split: ColdSplit, side: Side, typed: argparse.Namespace, *, first: str) -> DeviceRun:
    """Train on one side and rank the test users.

    Args:
        split: The users.
        side: Where.
        typed: The epochs, the batch size and the support sizes.
        first: The device that its scores are compared on.

    Raises:
        ConfigError: There are fewer than two epochs.
    """
    if typed.epochs < 2:
        raise ConfigError(f"epochs={typed.epochs} must be at least 2, the first to warm up")
    support = split.test.support(max(typed.k))[:USERS]  # Refused before minutes of training.
    model = ColdStartRecommender(
        epochs=typed.epochs,
        min_steps=1,
        batch_size=typed.batch_size,
        channels=typed.channels,
        device=side.device,
        precision=side.precision,
        seed=split.seed,
    )
    ends: list[float] = []
    is_counted = torch.device(side.device).type == "cuda"
    if is_counted:
        torch.cuda.reset_peak_memory_stats(side.device)
    # Without validation users: all sides take the same steps and nothing but steps.
    model.fit(split.train, on_epoch=lambda *_: ends.append(time.perf_counter()))
    peak = None
    if is_counted:
        gc.collect()
        held = torch.cuda.memory_allocated(side.device)
        peak = torch.cuda.max_memory_allocated(side.device) - held
    batches = _batches(model, split.train)
    seconds = [end - start for start, end in itertools.pairwise(ends)]
    found = evaluate(model, split.test, k=typed.k, seed=split.seed).per_user
    return DeviceRun(
        side,
        split.seed,
        model.losses,
        statistics.median(seconds) / len(batches),
        _sampling(model, split.train, batches),
        _told(model, split.train, side.precision),
        peak,
        found.assign(seed=split.seed),
        _gap(model, support, first),
    )


def _batches(model: ColdStartRecommender, train: HeteroData) -> tuple[Tensor, ...]:
    """Return the users of every outer step of an epoch."""
    counts = train[RATES].edge_index[0].bincount(minlength=int(train["user"].num_nodes))
    return (counts >= 2).nonzero().flatten().split(model.batch_size)


def _sampling(model: ColdStartRecommender, train: HeteroData, batches: Sequence[Tensor]) -> float:
    """Return the seconds that drawing the supports and subgraphs of a batch takes."""
    loader = _loader(model, train)
    generator = torch.Generator().manual_seed(0)
    size = torch.Generator().manual_seed(1)
    start = time.perf_counter()
    for users in batches[:SAMPLED]:
        k = loader.support_size(float(torch.rand(1, generator=size)))
        loader.draw(users, k, in_order=loader.in_order(generator), generator=generator)
    return (time.perf_counter() - start) / len(batches[:SAMPLED])


def _told(model: ColdStartRecommender, train: HeteroData, precision: Precision) -> int:
    scorer = model.fitted
    return estimate_memory(
        scorer.learner, scorer.head, _loader(model, train), precision=precision
    ).total


def _loader(model: ColdStartRecommender, train: HeteroData) -> EpisodeLoader:
    return EpisodeLoader(
        train, sampler=model.fitted.sampler, batch_size=model.batch_size, k_max=model.k_max
    )


def _gap(model: ColdStartRecommender, support: Support, device: str) -> float:
    """Return how far apart the scores of the model here and on another device are."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.gm"
        model.save(path)
        there = ColdStartRecommender.load(path, device=device)
    return float((model.score(support).cpu() - there.score(support).cpu()).abs().max())


def _report(typed: argparse.Namespace, argv: list[str] | None) -> str:
    sides = [Side.of(text) for text in typed.sides]
    if len(set(sides)) < len(sides):
        raise ConfigError(f"--sides {typed.sides} names one twice; leave it out")
    data = run_data_of(typed)
    runs = [trained(s, side, typed, first=sides[0].device) for s in data.splits for side in sides]
    frames = {
        str(side): pd.concat([run.per_user for run in runs if run.side == side]) for side in sides
    }
    n_users = len(runs[0].per_user["user"].unique())
    return "\n".join(
        [
            f"## Devices and precisions: {typed.data or 'movielens-small'}",
            "",
            f"{typed.epochs} epochs on each of {len(typed.seeds)} splits, all sides with the same "
            f"draws, {typed.batch_size} users an outer step, d = {typed.channels}:",
            "",
            markdown_table(*_cost_table(runs, sides)),
            "",
            "A step's time is the median of the epochs after the first; sampling is the part that "
            "the processor spends on supports and subgraphs, on every side. Memory is that of "
            "tensors beyond model and graph. The last column ranks "
            f"{USERS} users with the trained model on the first device too: how far apart the "
            "scores are at most.",
            "",
            f"NDCG@10 of the test users (split {runs[0].seed} has {n_users}), less that of the "
            "first side, with the paired 95 % interval; p of a sign-flip test, Holm-corrected over "
            "the table.",
            "",
            markdown_table(QUALITY, quality_rows(frames)),
            "",
            made_by(PROGRAM, argv),
        ]
    )


def _cost_table(
    runs: Sequence[DeviceRun], sides: Sequence[Side]
) -> tuple[list[str], list[list[str]]]:
    """Return the header and the rows of what the sides took and came to."""
    rows = []
    base = statistics.median(run.step for run in runs if run.side == sides[0])
    for side in sides:
        own = [run for run in runs if run.side == side]
        step = statistics.median(run.step for run in own)
        peaks = [run.peak for run in own if run.peak is not None]
        rows.append(
            [
                str(side),
                f"{1000 * step:.1f}",
                f"{base / step:.1f}",
                f"{1000 * statistics.median(run.sampling for run in own):.1f}",
                f"{max(peaks) / MIB:,.0f}" if peaks else "",
                f"{max(run.told for run in own) / MIB:,.0f}",
                f"{statistics.mean(run.losses[-1] for run in own):.4f}",
                f"{max(run.gap for run in own):.1g}",
            ]
        )
    header = ["where", "a step, ms", "times as fast", "of it sampling, ms", "peak, MiB"]
    return [*header, "told, MiB", "last loss", "scores apart"], rows


if __name__ == "__main__":
    sys.exit(main())
