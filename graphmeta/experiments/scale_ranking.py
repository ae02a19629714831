"""What adapting and ranking for one user costs on catalogues of several sizes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from graphmeta.experiments.speed import CHANNELS, Bench, K, Sizes
from graphmeta.meta import Learner
from graphmeta.ranking.few_shot_scorer import FewShotScorer

VOTERS, TOP = 16, 10
LEARNERS = ("ridge", "neural-process")


def measure(catalogues: Sequence[int], rounds: int) -> dict[str, Any]:
    """Return milliseconds of each side and catalogue, for users with five interactions.

    Sides are the bare product with top ten; the encoder without adaptation, with the whole
    catalogue scored and with pruned search; and learners as they come. One thread.

    Args:
        catalogues: Numbers of items.
        rounds: Users ranked one after the other; a quarter as many more warm up.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        of_size = {str(n): _of_catalogue(n, rounds) for n in catalogues}
    finally:
        torch.set_num_threads(threads)
    return {"k": K, "channels": CHANNELS, "voters": VOTERS, "rounds": rounds, "items": of_size}


def _of_catalogue(n_items: int, rounds: int) -> dict[str, Any]:
    sizes = Sizes(max(500, n_items // 5), n_items, per_user=50, batch=64, looped=1)
    bench = Bench.of(sizes)
    spread_as_trained(bench)
    items, z = bench.head.table.output.detach(), torch.randn(64, CHANNELS)
    sides: dict[str, Callable[[int], object]] = {
        "bare product": lambda row: (z[row : row + 1] @ items.T).topk(TOP),
        "whole catalogue": _ranked(bench, bench.learner("maml", inner_steps=0), prunes=False),
        "pruned": _ranked(bench, bench.learner("maml", inner_steps=0), prunes=True),
    }
    for name in LEARNERS:
        sides[name] = _ranked(bench, bench.learner(name), prunes=False)
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(rounds + rounds // 4):
        for name, side in sides.items():
            start = time.perf_counter()
            side(turn % 64)
            if turn >= rounds // 4:
                seconds[name].append(time.perf_counter() - start)
    return {
        name: {
            "median": 1000 * statistics.median(values),
            "p95": 1000 * statistics.quantiles(values, n=20)[-1],
        }
        for name, values in seconds.items()
    }


def _ranked(bench: Bench, learner: Learner, *, prunes: bool) -> Callable[[int], Tensor]:
    sampler = bench.sampler(num_voters=VOTERS)
    scorer = FewShotScorer(learner.eval(), bench.head, sampler)
    allowed = torch.ones(bench.sizes.items, dtype=torch.bool)

    def run(row: int) -> Tensor:
        bench.head.pruned_above = 0 if prunes else bench.sizes.items
        return scorer.best(bench.support[row : row + 1], k=TOP, allowed=allowed)[0]

    return run


@torch.no_grad()
def spread_as_trained(bench: Bench) -> None:
    """Weigh the product of an untrained head as a trained model does: pruning depends on it.

    In the published movielens-small model the product's standard deviation over the items is a
    third of that of the part that all users share.
    """
    head = bench.head
    episodes = bench.sampler().sample(bench.support[:8], seed=0)
    learner = bench.learner("maml", inner_steps=0).eval()
    z = learner.encode(episodes, {}, head.x_dict(episodes))
    shared = head.vote.popularity(torch.tensor([-1]))[0].log().std()
    product = (z @ head.table.output.T).std() * CHANNELS**-0.5
    head.curve.values["product"].fill_(float(shared / product / 3))
