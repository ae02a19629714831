"""Whether training takes the memory that `estimate_memory` tells, each side in its own process.

Run it with `python -m graphmeta.experiments.memory`.
"""

from __future__ import annotations

import argparse
import gc
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from graphmeta.encoders import CatalogueHead
from graphmeta.errors import ConfigError, GraphMetaError
from graphmeta.experiments.manifest import environment
from graphmeta.experiments.named_learners import build_learner
from graphmeta.experiments.run_apart import run_apart
from graphmeta.experiments.speed import Sizes, random_graph
from graphmeta.meta import Learner, estimate_memory
from graphmeta.meta.outer_loss import OuterDraw, OuterLoss
from graphmeta.tasks import EpisodeLoader, EpisodeSampler

MIB = 2**20
STEPS = 20


@dataclass(frozen=True)
class Case:
    """One configuration.

    Args:
        learner: A named learner.
        encoder: A named encoder.
        users: Training users.
        items: Catalogue.
        channels: Width of the embeddings.
        batch_size: Users per outer step.
        k: Support size of every step.
        per_user: Mean interactions of a user.
        num_voters: Users whose items are voted for, as in `EpisodeSampler`; -1 lists them.
    """

    learner: str
    encoder: str
    users: int
    items: int
    channels: int
    batch_size: int
    k: int
    per_user: int = 40
    num_voters: int | None = None

    def __str__(self) -> str:
        """Return what distinguishes it."""
        return (
            f"{self.learner} on {self.encoder}, {self.items:,} items, d = {self.channels}, "
            f"{self.batch_size} users, k = {self.k}"
            + (", voters listed" if self.num_voters == -1 else "")
        )


CASES = (
    Case("maml", "relation", 3000, 2000, 64, 128, 10),
    Case("maml", "relation", 5000, 8000, 64, 512, 10),
    Case("maml-second-order", "relation", 5000, 4000, 64, 256, 10),
    Case("ridge", "relation", 5000, 4000, 64, 128, 10),
    Case("neural-process", "relation", 5000, 12_000, 64, 256, 10),
    Case("maml", "sage", 3000, 2000, 64, 64, 5),
    Case("maml", "gat", 5000, 5000, 64, 256, 10),
    Case("prototypes", "hgt", 5000, 5000, 64, 256, 5),
    Case("maml", "relation", 20_000, 12_000, 64, 64, 10, per_user=8, num_voters=-1),
    Case("maml", "relation", 20_000, 12_000, 64, 256, 10, per_user=8, num_voters=-1),
)
SMALL = (Case("maml", "relation", 300, 200, 8, 64, 5),)


def estimated(case: Case) -> int:
    """Return the bytes that the estimate tells."""
    return estimate_memory(*_parts(case)).total


def measured(case: Case) -> int:
    """Return the bytes by which the peak of the process grows in a few of the largest steps.

    Raises:
        ConfigError: The system does not tell a process's peak.
    """
    learner, head, loader = _parts(case)
    outer_loss = OuterLoss(learner, head, loader, adapted_share=1.0)
    gc.collect()
    try:
        Path("/proc/self/clear_refs").write_text("5")  # The peak starts anew.
    except OSError as error:
        raise ConfigError(f"this system does not tell peaks of memory: {error}") from error
    before = _status("VmRSS")
    optimizer = torch.optim.AdamW([*learner.parameters(), *head.parameters()])
    generator = torch.Generator().manual_seed(0)
    draw = OuterDraw(case.k, in_order=False, is_adapted=True)
    for users in loader.user_batches(generator)[:STEPS]:
        optimizer.zero_grad()
        outer_loss(users, draw, generator).backward()
        optimizer.step()
    return _status("VmHWM") - before


def _parts(case: Case) -> tuple[Learner, CatalogueHead, EpisodeLoader]:
    sizes = Sizes(case.users, case.items, per_user=case.per_user, batch=case.batch_size, looped=1)
    graph = random_graph(sizes)
    learner = build_learner(case.learner, case.encoder, graph, channels=case.channels, seed=0)
    head = CatalogueHead(graph, channels=case.channels)
    sampler = EpisodeSampler(graph, num_neighbors=(4, 4), num_voters=case.num_voters)
    loader = EpisodeLoader(graph, sampler=sampler, batch_size=case.batch_size, k_max=case.k)
    return learner.train(), head.train(), loader


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) * 1024


def main(argv: list[str] | None = None) -> int:
    """Measure, print a table and return the exit code: 2 where nothing can be measured."""
    parser = argparse.ArgumentParser(
        prog="python -m graphmeta.experiments.memory", allow_abbrev=False
    )
    parser.add_argument("--small", action="store_true", help="a smoke run in seconds")
    cases = SMALL if parser.parse_args(argv).small else CASES
    console = Console()
    machine = environment()["machine"]
    console.print(f"{machine['cpu']}, {machine['torch_threads']} threads")
    table = Table(title="Peak memory of meta-training beyond model and graph, MiB")
    for column in ("configuration", "estimated", "measured", "ratio"):
        table.add_column(column, justify="left" if column == "configuration" else "right")
    try:
        for case in cases:
            # A process of its own for each, or the second would find its memory there.
            sides = [run_apart(side, case) for side in (estimated, measured)]
            shown = [f"{size / MIB:,.0f}" for size in sides]
            table.add_row(str(case), *shown, f"{sides[0] / sides[1]:.2f}")
    except GraphMetaError as error:
        Console(stderr=True).print(f"error: {error}", markup=False, soft_wrap=True)
        return 2
    console.print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
