"""Subgraphs around seeds, and episodes of support and query."""

from graphmeta.tasks.csr import CSR, sample_neighbors
from graphmeta.tasks.episode import EpisodeBatch, LeaveOneOut
from graphmeta.tasks.episode_loader import EpisodeLoader
from graphmeta.tasks.episode_sampler import EpisodeSampler
from graphmeta.tasks.episodes_from_batch import episodes_from_batch
from graphmeta.tasks.fast_neighbor_sampler import fast_neighbor_sampler
from graphmeta.tasks.neighbor_sampler import NeighborSampler
from graphmeta.tasks.reach import Reach
from graphmeta.tasks.store_graph import StoreGraph

__all__ = [
    "CSR",
    "EpisodeBatch",
    "EpisodeLoader",
    "EpisodeSampler",
    "LeaveOneOut",
    "NeighborSampler",
    "Reach",
    "StoreGraph",
    "episodes_from_batch",
    "fast_neighbor_sampler",
    "sample_neighbors",
]
