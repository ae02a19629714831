"""What training takes on graphs of several sizes, each in a process of its own."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from graphmeta.experiments.manifest import environment, now, peak_memory_mib
from graphmeta.experiments.run_apart import run_apart
from graphmeta.ranking import ColdStartRecommender
from graphmeta.store import InteractionStore

VOTERS = 16


def measure(stores: Mapping[int, Path], *, epochs: int, steps: int, draws: int) -> dict[str, Any]:
    """Train the recommender on every store for a while, its settings for large graphs named.

    Args:
        stores: The stores, by the number of interactions that were drawn.
        epochs: Epochs; the first warms up.
        steps: Outer steps of an epoch.
        draws: Items that stand for the catalogue in a step.
    """
    of_size = {
        str(size): run_apart(_train, store, epochs, steps, draws) for size, store in stores.items()
    }
    commit = environment()["commit"]
    about = {"epochs": epochs, "steps": steps, "draws": draws, "voters": VOTERS}
    return {**about, "begun": now(), "commit": commit, "sizes": of_size}


def _train(path: Path, epochs: int, steps: int, draws: int) -> dict[str, Any]:
    start = time.perf_counter()
    graph = InteractionStore.open(path).to_graph()
    read, before = time.perf_counter() - start, peak_memory_mib()
    model = ColdStartRecommender(
        item_start="random",
        num_voters=VOTERS,
        num_sampled=draws,
        epochs=epochs,
        min_steps=steps,
        max_steps=steps,
    )
    ends = [time.perf_counter()]
    model.fit(graph, on_epoch=lambda *_: ends.append(time.perf_counter()))
    seconds = [end - start for start, end in pairwise(ends)]
    step = statistics.median(seconds[1:]) / steps
    return {
        "edges": int(graph["user", "rates", "item"].edge_index.size(1)),
        "users": int(graph["user"].num_nodes),
        "items": int(graph["item"].num_nodes),
        "read_s": read,
        "graph_mib": before,
        "setup_s": max(0.0, seconds[0] - steps * step),
        "step_s": step,
        "users_per_s": model.batch_size / step,
        "peak_mib": peak_memory_mib(),
        "losses": model.losses,
    }
