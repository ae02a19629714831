"""Subgraphs around seeds, and episodes of support and query."""

from graphmeta.tasks.csr import CSR, sample_neighbors
from graphmeta.tasks.episode import EpisodeBatch, LeaveOneOut
from graphmeta.tasks.episode_sampler import EpisodeSampler
from graphmeta.tasks.fast_neighbor_sampler import fast_neighbor_sampler
from graphmeta.tasks.neighbor_sampler import NeighborSampler

__all__ = [
    "CSR",
    "EpisodeBatch",
    "EpisodeSampler",
    "LeaveOneOut",
    "NeighborSampler",
    "fast_neighbor_sampler",
    "sample_neighbors",
]
