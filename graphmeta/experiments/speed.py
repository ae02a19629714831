"""How fast learners adapt: batched against a loop over users, and against the bare ranking.

Run it with `python -m graphmeta.experiments.speed`. Both sides of each comparison run in one
process, in turn, and the ratio is what is reported.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data import from_frame
from graphmeta.data.cold_users import Support
from graphmeta.encoders import CatalogueHead
from graphmeta.experiments.manifest import environment
from graphmeta.meta import MAML, Learner, RidgeHead, query_loss, relation_learner
from graphmeta.meta.relation_learner import ADAPTED
from graphmeta.tasks.episode import EpisodeBatch
from graphmeta.tasks.episode_sampler import EpisodeSampler

CHANNELS, STEPS, K = 64, 2, 5
REPEATS = 5


@dataclass(frozen=True)
class Sizes:
    """How much work is done.

    Args:
        users: Training users.
        items: Catalogue.
        per_user: Interactions per user.
        batch: Users at once.
        looped: Users of the batch that the loop takes; its time is scaled up.
    """

    users: int
    items: int
    per_user: int
    batch: int
    looped: int


TRAINING = Sizes(users=5000, items=4000, per_user=60, batch=256, looped=32)
RANKING = Sizes(users=20_000, items=100_000, per_user=50, batch=256, looped=1)
SMALL = Sizes(users=300, items=200, per_user=12, batch=8, looped=2)


@dataclass(frozen=True)
class Bench:
    """A graph of some size, its head, and the episodes of a batch of users with k edges each."""

    sizes: Sizes
    sampler: EpisodeSampler
    head: CatalogueHead
    support: Support
    metadata: tuple[list[str], list[tuple[str, str, str]]]

    @classmethod
    def of(cls, sizes: Sizes) -> Bench:
        """Return the bench of a random graph with a popularity that falls as 1 / rank."""
        graph = random_graph(sizes)
        generator = torch.Generator().manual_seed(1)
        item = graph["user", "rates", "item"].edge_index[1]
        drawn = item[torch.randint(len(item), (sizes.batch, 4 * K), generator=generator)]
        rows = [row.unique()[:K] for row in drawn]
        rows = [torch.cat([r, r.new_full((K - len(r),), -1)]) for r in rows]
        return cls(
            sizes,
            EpisodeSampler(graph, num_neighbors=(4, 4)),
            CatalogueHead(graph, channels=CHANNELS),
            Support(torch.stack(rows)),
            graph.metadata(),
        )

    def episodes(self) -> EpisodeBatch:
        """Return freshly sampled episodes."""
        return self.sampler.sample(self.support, generator=torch.Generator().manual_seed(0))

    def learner(self, name: str, *, is_batched: bool = True) -> Learner:
        """Return a learner by name."""
        steps = 0 if name == "unadapted" else STEPS
        if name == "ridge":
            return relation_learner(self.metadata, channels=CHANNELS, wrap=RidgeHead)
        return relation_learner(
            self.metadata,
            channels=CHANNELS,
            wrap=lambda encoder: MAML(
                encoder, adapt=ADAPTED, inner_steps=steps, max_views=None, is_batched=is_batched
            ),
        )


def random_graph(sizes: Sizes) -> HeteroData:
    """Return a random bipartite graph whose items are drawn by 1 / rank."""
    rng = np.random.default_rng(0)
    weight = 1 / np.arange(1, sizes.items + 1)
    n = sizes.users * sizes.per_user
    frame = pd.DataFrame(
        {
            "user": np.repeat(np.arange(sizes.users), sizes.per_user),
            "item": rng.choice(sizes.items, size=n, p=weight / weight.sum()),
        }
    )
    every = pd.DataFrame({"user": rng.integers(sizes.users, size=sizes.items)})
    every["item"] = np.arange(sizes.items)  # So that the whole catalogue is known.
    return from_frame(pd.concat([frame, every]).drop_duplicates())


def in_turn(sides: dict[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Return the seconds of each side, run one after the other, after a round to warm up."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(repeats + 1):
        for name, run in sides.items():
            start = time.perf_counter()
            run()
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def training_sides(bench: Bench) -> dict[str, Callable[[], object]]:
    """Return an outer step (adapt, score, backward) batched, and a loop over some of its users."""
    episodes = bench.episodes()
    seen = bench.support.to_dense(bench.sizes.items)
    seen[:, 0] = 1.0  # Something to predict besides the support.
    batched, single = (bench.learner("maml", is_batched=b).train() for b in (True, False))

    def step(learner: Learner, rows: slice) -> None:
        part = episodes[rows]
        scores = learner.score(part, learner.adapt(part, bench.head), bench.head)
        query_loss(scores, part.support, seen[rows]).backward()

    def loop() -> None:
        for row in range(bench.sizes.looped):
            step(single, slice(row, row + 1))

    return {"batched": lambda: step(batched, slice(None)), "loop": loop}


def ranking_sides(bench: Bench) -> dict[str, Callable[[], object]]:
    """Return the bare product with top ten, and sampling, adapting and ranking by learners."""
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(bench.sizes.batch, CHANNELS, generator=generator)
    items = bench.head.table.output.detach()

    def bare() -> Tensor:
        return (z @ items.T).topk(10).indices

    def ranked(learner: Learner) -> Callable[[], object]:
        def run() -> Tensor:
            with torch.no_grad():
                episodes = bench.episodes()
                fast = learner.adapt(episodes, bench.head)
                return learner.score(episodes, fast, bench.head).topk(10).indices

        return run

    names = ("unadapted", "ridge", "maml")
    return {"bare product": bare, **{n: ranked(bench.learner(n).eval()) for n in names}}


def main(argv: list[str] | None = None) -> int:
    """Measure, print both tables and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m graphmeta.experiments.speed", allow_abbrev=False
    )
    parser.add_argument("--small", action="store_true", help="a smoke run in seconds")
    is_small = parser.parse_args(argv).small
    console, repeats = Console(), 1 if is_small else REPEATS
    machine = environment()["machine"]
    console.print(f"{machine['cpu']}, {machine['torch_threads']} threads, {repeats} repetitions")
    sizes = SMALL if is_small else TRAINING
    seconds = in_turn(training_sides(Bench.of(sizes)), repeats)
    per_user = {
        "batched": [s / sizes.batch for s in seconds["batched"]],
        "loop": [s / sizes.looped for s in seconds["loop"]],
    }
    title = f"Meta-training, {sizes.batch} users, k = {K}, {STEPS} inner steps, d = {CHANNELS}"
    console.print(_table(f"{title}: ms per user", per_user, against="batched"))
    sizes = SMALL if is_small else RANKING
    seconds = in_turn(ranking_sides(Bench.of(sizes)), repeats)
    title = f"Ranking {sizes.batch} new users, k = {K}, on {sizes.items:,} items: ms"
    console.print(_table(title, seconds, against="bare product"))
    return 0


def _table(title: str, seconds: dict[str, list[float]], *, against: str) -> Table:
    table = Table(title=title)
    for column in ("what", "median", "lowest", "highest", f"times {against}"):
        table.add_column(column, justify="left" if column == "what" else "right")
    base = statistics.median(seconds[against])
    for name, values in seconds.items():
        shown = [statistics.median(values), min(values), max(values)]
        ratio = f"{shown[0] / base:.2f}"
        table.add_row(name, *(f"{1000 * value:.2f}" for value in shown), ratio)
    return table


if __name__ == "__main__":
    sys.exit(main())
