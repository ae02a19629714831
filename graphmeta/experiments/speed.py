"""How fast learners adapt: batched against a loop over users, and against the bare ranking.

Run it with `python -m graphmeta.experiments.speed`. Both sides of each comparison run in one
process, in turn, and the ratio is what is reported.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch_geometric.data import HeteroData

from graphmeta.data import from_frame
from graphmeta.data.cold_users import Support
from graphmeta.encoders import CatalogueHead
from graphmeta.errors import ConfigError
from graphmeta.experiments.manifest import environment
from graphmeta.experiments.named_learners import build_learner
from graphmeta.meta import MAML, Learner, query_loss
from graphmeta.ranking.baselines import IALS
from graphmeta.ranking.few_shot_scorer import FewShotScorer
from graphmeta.ranking.usable_device import usable_device
from graphmeta.tasks.episode import EpisodeBatch
from graphmeta.tasks.episode_sampler import EpisodeSampler

CHANNELS, STEPS, K = 64, 2, 5
# Users ranked at once, and users who vote per support item.
BLOCK, VOTERS = 128, 16
REPEATS = 5
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Sizes:
    """How much work is done.

    Args:
        users: Training users.
        items: Catalogue.
        per_user: Interactions per user.
        batch: Users at once.
        looped: Users of the batch that loops take; their time is scaled up.
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
    graph: HeteroData
    head: CatalogueHead
    support: Support

    @classmethod
    def of(cls, sizes: Sizes, device: torch.device = CPU) -> Bench:
        """Return the bench of a random graph with a popularity that falls as 1 / rank."""
        graph = random_graph(sizes)
        generator = torch.Generator().manual_seed(1)
        item = graph["user", "rates", "item"].edge_index[1]
        drawn = item[torch.randint(len(item), (sizes.batch, 4 * K), generator=generator)]
        rows = [row.unique()[:K] for row in drawn]
        rows = [torch.cat([r, r.new_full((K - len(r),), -1)]) for r in rows]
        return cls(
            sizes,
            graph,
            CatalogueHead(graph, channels=CHANNELS).to(device),
            Support(torch.stack(rows)),
        )

    def sampler(self, *, num_voters: int | None = None) -> EpisodeSampler:
        """Return a sampler of the graph."""
        return EpisodeSampler(self.graph, num_neighbors=(4, 4), num_voters=num_voters)

    def learner(self, name: str, *, inner_steps: int = STEPS) -> Learner:
        """Return a named learner over a `RelationEncoder`; MAML leaves out all edges in turn."""
        learner = build_learner(
            name, "relation", self.graph, channels=CHANNELS, inner_steps=inner_steps, seed=0
        )
        if isinstance(learner, MAML):
            learner.max_views = None
        return learner.to(self.device)

    @property
    def device(self) -> torch.device:
        """Where all is computed but the sampling."""
        return self.head.bias.device


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


def in_turn(
    sides: Mapping[str, Callable[[], object]], repeats: int, device: torch.device = CPU
) -> dict[str, list[float]]:
    """Return the seconds of each side, run one after the other, after a round to warm up."""

    def finish() -> None:
        if device.type == "cuda":  # Which goes on while the processor does.
            torch.cuda.synchronize(device)

    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(repeats + 1):
        for name, run in sides.items():
            start = time.perf_counter()
            run()
            finish()
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def training_sides(bench: Bench) -> dict[str, Callable[[], object]]:
    """Return an outer step (adapt, score, backward) of all users at once, and of some in loops.

    The loops take one user after the other: as MAML is usually written, one left-out edge after the
    other too; with a user's left-out edges side by side; and with the package `higher`, where it is
    installed, whose steps stay differentiable (it has no first-order form that learns).
    """
    episodes = _sampled(bench.sampler(), bench.support).to(bench.device)
    seen = bench.support.to_dense(bench.sizes.items).to(bench.device)
    seen[:, 0] = 1.0  # Something to predict besides the support.
    batched, single = bench.learner("maml").train(), bench.learner("maml").train()
    single.is_batched = False

    def step(learner: Learner, rows: slice) -> None:
        learner.outer_loss(episodes[rows], bench.head, seen[rows], is_adapted=True).backward()

    def loop(one: Callable[[slice], None]) -> Callable[[], None]:
        def run() -> None:
            for row in range(bench.sizes.looped):
                one(slice(row, row + 1))

        return run

    sides: dict[str, Callable[[], object]] = {
        "batched": lambda: step(batched, slice(None)),
        "loop": loop(lambda rows: step(single, rows)),
        "loop, edges side by side": loop(lambda rows: step(batched, rows)),
    }
    if importlib.util.find_spec("higher") is not None:
        one = higher_step(single, bench.head)
        sides["loop with higher"] = loop(lambda rows: one(episodes[rows], seen[rows]))
    return sides


def higher_step(learner: Learner, head: CatalogueHead) -> Callable[[EpisodeBatch, Tensor], None]:
    """Return MAML's outer step of one user as `higher` (Grefenstette et al., 2019) has it."""
    higher = importlib.import_module("higher")
    encoder = learner.encoder
    optimizer = torch.optim.SGD(encoder.parameters(), lr=0.1)

    def embed(encoder: nn.Module, episodes: EpisodeBatch) -> Tensor:
        x_dict = head.x_dict(episodes)
        parts = (x_dict, episodes.edge_index_dict, episodes.edge_attr_dict)
        each = [
            encoder(*({n: v[row] for n, v in part.items()} for part in parts), support_size=K)
            for row in range(len(episodes))
        ]
        return torch.cat([out["user"] for out in each])

    def step(episodes: EpisodeBatch, seen: Tensor) -> None:
        held_out = episodes.leave_one_out()
        with higher.innerloop_ctx(encoder, optimizer, copy_initial_weights=False) as (fast, inner):
            for _ in range(STEPS):
                scores = head.inner_scores(embed(fast, held_out.views), held_out.views)
                loss = nn.functional.cross_entropy(scores, held_out.target, reduction="none")
                inner.step((loss * held_out.weight).sum())
            scores = head(embed(fast, episodes), episodes)
            query_loss(scores, episodes.support, seen).backward()

    return step


def ranking_sides(bench: Bench, n_users: int) -> dict[str, Callable[[], list[Tensor]]]:
    """Return the bare product with top ten, iALS's fold-in, and sampling, adapting and ranking."""
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(n_users, CHANNELS, generator=generator).to(bench.device)
    items = bench.head.table.output.detach()
    ials = IALS(num_factors=CHANNELS, sweeps=1).fit(bench.graph)

    def bare() -> list[Tensor]:
        return [(part @ items.T).topk(10).indices for part in z.split(BLOCK)]

    def folded_in() -> list[Tensor]:
        parts = [slice(start, min(start + BLOCK, n_users)) for start in range(0, n_users, BLOCK)]
        return [ials.score(bench.support[rows]).topk(10).indices for rows in parts]

    allowed, k = torch.ones(bench.sizes.items, dtype=torch.bool), min(10, bench.sizes.items)

    def ranked(learner: Learner, sampler: EpisodeSampler) -> Callable[[], list[Tensor]]:
        scorer = FewShotScorer(learner.eval(), bench.head, sampler, batch_size=BLOCK)
        return lambda: [scorer.best(bench.support[:n_users], k=k, allowed=allowed)[0]]

    few, everyone = bench.sampler(num_voters=VOTERS), bench.sampler()
    unadapted = bench.learner("maml", inner_steps=0)
    names = ("ridge", "prototypes", "neural-process", "anil", "maml")
    return {
        "bare product": bare,
        "iALS fold-in": folded_in,
        "unadapted, all voters": ranked(unadapted, everyone),
        "unadapted": ranked(unadapted, few),
        **{name: ranked(bench.learner(name), few) for name in names},
    }


def _sampled(sampler: EpisodeSampler, support: Support) -> EpisodeBatch:
    return sampler.sample(support, generator=torch.Generator().manual_seed(0))


def main(argv: list[str] | None = None) -> int:
    """Measure, print both tables and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m graphmeta.experiments.speed", allow_abbrev=False
    )
    parser.add_argument("--small", action="store_true", help="a smoke run in seconds")
    parser.add_argument("--device", default="cpu", help="where all is computed but the sampling")
    typed = parser.parse_args(argv)
    console, is_small = Console(), typed.small
    repeats = 1 if is_small else REPEATS
    try:
        device = usable_device(typed.device)
    except ConfigError as error:
        Console(stderr=True).print(f"error: {error}", markup=False, soft_wrap=True)
        return 2
    machine = environment()["machine"]
    name = machine["cpu"] if device.type == "cpu" else f"{machine['cpu']}, {machine['gpu']}"
    console.print(f"{name}, {machine['torch_threads']} threads, {repeats} repetitions")
    sizes = SMALL if is_small else TRAINING
    seconds = in_turn(training_sides(Bench.of(sizes, device)), repeats, device)
    n_users = {name: sizes.batch if name == "batched" else sizes.looped for name in seconds}
    per_user = {name: [s / n_users[name] for s in found] for name, found in seconds.items()}
    title = f"Meta-training, {sizes.batch} users, k = {K}, {STEPS} inner steps, d = {CHANNELS}"
    console.print(_table(f"{title}: ms per user", per_user, against="batched"))
    sizes = SMALL if is_small else RANKING
    bench = Bench.of(sizes, device)
    for users in (sizes.batch, 1):
        seconds = in_turn(ranking_sides(bench, users), repeats, device)
        title = f"Ranking {users} new users, k = {K}, on {sizes.items:,} items"
        title += f", {VOTERS} voters per item: ms"
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
