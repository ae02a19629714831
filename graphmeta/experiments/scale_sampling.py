"""What drawing a neighbourhood costs on graphs of several sizes, all sides in turn."""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
import torch_geometric.sampler
import torch_geometric.typing
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.sampler import BaseSampler, NodeSamplerInput

from graphmeta.compiled import has_numba, without_numba
from graphmeta.store import InteractionStore
from graphmeta.tasks import NeighborSampler, StoreGraph

SEEDS, FANOUTS = 1024, [10, 10]
Side = Callable[[Tensor], int]


def measure(stores: Mapping[int, Path], rounds: int) -> dict[str, Any]:
    """Return milliseconds for each side and size, and what was drawn.

    Sides are our sampler, seeds apart (as episodes are) and together, with tensor operations
    alone, with hubs as seeds, and PyG's sampler where it can be had. Sizes and sides take turns,
    one thread each.

    Args:
        stores: A store's folder for each number of interactions.
        rounds: Repetitions of each side; half as many more warm up.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _measure(stores, rounds)
    finally:
        torch.set_num_threads(threads)


def _measure(stores: Mapping[int, Path], rounds: int) -> dict[str, Any]:
    seconds: dict[str, dict[int, list[float]]] = {}
    drawn: dict[str, dict[int, int]] = {}
    sides = {size: _sides(InteractionStore.open(path)) for size, path in stores.items()}
    for turn in range(rounds + rounds // 2):
        for size, of_size in sides.items():
            for name, (side, n_users, hubs) in of_size.items():
                generator = torch.Generator().manual_seed(turn)
                seeds = torch.randint(n_users, (SEEDS,), generator=generator)
                if hubs is not None:
                    seeds = hubs[torch.randint(len(hubs), (SEEDS,), generator=generator)]
                start = time.perf_counter()
                n = side(seeds)
                taken = time.perf_counter() - start
                if turn >= rounds // 2:
                    seconds.setdefault(name, {}).setdefault(size, []).append(taken)
                    drawn.setdefault(name, {})[size] = n
    return {
        "seeds": SEEDS,
        "fanouts": FANOUTS,
        "rounds": rounds,
        "has_numba": has_numba(),
        "pyg": _pyg_package(),
        "milliseconds": {
            name: {
                str(size): {
                    "median": 1000 * statistics.median(values),
                    "quartiles": [1000 * q for q in statistics.quantiles(values, n=4)[::2]],
                }
                for size, values in of_size.items()
            }
            for name, of_size in seconds.items()
        },
        "edges_drawn": {n: {str(s): v for s, v in found.items()} for n, found in drawn.items()},
    }


def _sides(store: InteractionStore) -> dict[str, tuple[Side, int, Tensor | None]]:
    """Return each side with the users to draw seeds from, or the hubs."""
    apart = NeighborSampler(store, FANOUTS, disjoint=True)
    together = NeighborSampler(store, FANOUTS)
    (segment,) = store.segments
    degree = torch.from_numpy(segment.item_pointer).diff()
    hubs = torch.from_numpy(segment.item)[degree.topk(100).indices].long()
    n = store.num_users
    sides: dict[str, tuple[Side, int, Tensor | None]] = {
        "apart": (_side(apart, "user"), n, None),
        "together": (_side(together, "user"), n, None),
        "apart, from items": (_side(apart, "item"), store.num_items, None),
        "apart, from the 100 largest hubs": (_side(apart, "item"), n, hubs),
    }
    if has_numba():
        sides["apart, without numba"] = (_without_numba(_side(apart, "user")), n, None)
    theirs = _pyg_sampler(store)
    if theirs is not None:
        sides["together, PyG's"] = (_side(theirs, "user"), n, None)
    return sides


def _side(sampler: BaseSampler, kind: str) -> Side:
    def run(seeds: Tensor) -> int:
        found = sampler.sample_from_nodes(NodeSamplerInput(None, seeds, None, kind))
        return sum(len(row) for row in found.row.values())

    return run


def _without_numba(side: Side) -> Side:
    def run(seeds: Tensor) -> int:
        with without_numba():
            return side(seeds)

    return run


def _pyg_sampler(store: InteractionStore) -> BaseSampler | None:
    """Return PyG's compiled sampler of the same graph in memory, None where there is none."""
    if _pyg_package() is None:
        return None
    graph = HeteroData()
    graph["user"].num_nodes, graph["item"].num_nodes = store.num_users, store.num_items
    known = StoreGraph(store)
    for attr in known.get_all_edge_attrs():
        graph[attr.edge_type].edge_index = torch.stack(known.get_edge_index(attr))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Using 'NeighborSampler' without")
        return torch_geometric.sampler.NeighborSampler(graph, num_neighbors=FANOUTS)


def _pyg_package() -> str | None:
    """Return the package that compiles PyG's sampler, None without any."""
    for name, is_there in (
        ("pyg-lib", torch_geometric.typing.WITH_PYG_LIB),
        ("torch-sparse", torch_geometric.typing.WITH_TORCH_SPARSE),
    ):
        if is_there:
            return f"{name} {metadata.version(name)}"
    return None
