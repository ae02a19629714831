"""The compiled neighbour sampler where there is one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch_geometric.sampler
import torch_geometric.typing
from torch_geometric.data import HeteroData
from torch_geometric.sampler import BaseSampler

from graphmeta.tasks.fanouts import EdgeType
from graphmeta.tasks.neighbor_sampler import NeighborSampler


def fast_neighbor_sampler(
    graph: HeteroData,
    num_neighbors: Sequence[int] | Mapping[EdgeType, Sequence[int]],
    *,
    disjoint: bool = False,
    time_attr: str | None = None,
    seed: int = 0,
) -> BaseSampler:
    """Return PyG's compiled sampler where pyg-lib is installed, else a `NeighborSampler`.

    Both draw neighbours from the same distribution and serve the same loaders. PyG's ignores
    `seed`: it follows the global generator. Name `NeighborSampler` where a sample must come
    again.

    Args:
        graph: The graph.
        num_neighbors: Fan-out of every hop, as one list or one list for each edge type.
        disjoint: Every seed grows a subgraph of its own.
        time_attr: The edge attribute that holds time; no newer edge than the seed's is seen.
        seed: The seed of all draws of a `NeighborSampler`.

    Raises:
        ConfigError: An option has a value that cannot work.
        DataError: The edges or their times cannot be used.
    """
    checked = NeighborSampler(
        graph, num_neighbors, disjoint=disjoint, time_attr=time_attr, seed=seed
    )
    if not torch_geometric.typing.WITH_PYG_LIB:
        return checked
    return torch_geometric.sampler.NeighborSampler(
        graph, num_neighbors=checked.fanouts, disjoint=disjoint, time_attr=time_attr
    )
