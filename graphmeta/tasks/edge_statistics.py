"""What is known of the edges of a graph in memory or of a store, read edge by edge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.store.interaction_store import InteractionStore
from graphmeta.tasks.episode import RATES
from graphmeta.tasks.store_rows import StoreRows


class EdgeValues:
    """One number for each edge, in the parts in which they are stored.

    Args:
        parts: The numbers of the first edges, of the next ones and so on.
    """

    def __init__(self, parts: Sequence[Tensor]) -> None:
        self._parts = parts

    def at(self, edge_id: Tensor) -> Tensor:
        """Return the numbers of some edges, in the shape of `edge_id`."""
        if len(self._parts) == 1:
            return self._parts[0][edge_id]
        out = torch.empty(edge_id.shape, dtype=self._parts[0].dtype)
        first = 0
        for part in self._parts:
            is_here = (edge_id >= first) & (edge_id < first + len(part))
            out[is_here] = part[edge_id[is_here] - first]
            first += len(part)
        return out


@dataclass(frozen=True)
class EdgeStatistics:
    """Degrees, and ratings and times with what they are compared with.

    Args:
        user_degree: Items of each user.
        item_degree: Users of each item.
        user_mean: Mean over the edges of `log(1 + degree)` of the user.
        item_mean: The same of the item.
        rating: The edges' ratings, or None.
        rating_mean: Their mean.
        rating_std: Their standard deviation.
        time: The edges' times, or None.
        latest: Time of each user's latest edge, or None.

    Shapes:
        user_degree: float32, `[n_users]`; item_degree: float32, `[n_items]`.
        latest: float64, `[n_users]`.
    """

    user_degree: Tensor
    item_degree: Tensor
    user_mean: float
    item_mean: float
    rating: EdgeValues | None = None
    rating_mean: float = 0.0
    rating_std: float = 1.0
    time: EdgeValues | None = None
    latest: Tensor | None = None

    @classmethod
    def of(cls, graph: HeteroData | InteractionStore) -> EdgeStatistics:
        """Return the statistics of a graph in memory, or of a store, a segment at a time."""
        return _of_store(graph) if isinstance(graph, InteractionStore) else _of_graph(graph)


def _of_graph(graph: HeteroData) -> EdgeStatistics:
    store = graph[RATES]
    user, item = store.edge_index
    num_users, num_items = int(graph["user"].num_nodes), int(graph["item"].num_nodes)
    user_degree = torch.bincount(user, minlength=num_users).float()
    item_degree = torch.bincount(item, minlength=num_items).float()
    rating = store.rating.float() if "rating" in store else None
    latest = None
    if "time" in store:
        latest = torch.full((num_users,), -torch.inf, dtype=torch.float64)
        latest = latest.scatter_reduce(0, user, store.time, "amax")
    return EdgeStatistics(
        user_degree,
        item_degree,
        float(user_degree.log1p()[user].mean()),
        float(item_degree.log1p()[item].mean()),
        None if rating is None else EdgeValues([rating]),
        0.0 if rating is None else float(rating.mean()),
        1.0 if rating is None else float(rating.std(correction=0)),
        EdgeValues([store.time]) if "time" in store else None,
        latest,
    )


def _of_store(store: InteractionStore) -> EdgeStatistics:
    degrees = [
        rows.degree(torch.arange(rows.num_rows)).double()
        for rows in (StoreRows(store, "user"), StoreRows(store, "item"))
    ]
    of_user, of_item = (float((d * d.log1p()).sum() / d.sum()) for d in degrees)
    ratings = [s.rating for s in store.segments if s.rating is not None]
    times = [s.time for s in store.segments if s.time is not None]
    mean, std = _moments(ratings)
    return EdgeStatistics(
        degrees[0].float(),
        degrees[1].float(),
        of_user,
        of_item,
        _values(ratings),
        mean,
        std,
        _values(times),
        _latest(store) if times else None,
    )


def _values(parts: Sequence[NDArray[np.floating]]) -> EdgeValues | None:
    return EdgeValues([torch.from_numpy(part) for part in parts]) if parts else None


def _moments(parts: Sequence[NDArray[np.floating]]) -> tuple[float, float]:
    n = sum(len(part) for part in parts)
    if not n:
        return 0.0, 1.0
    mean = sum(float(part.sum(dtype=np.float64)) for part in parts) / n
    at_once = 2**20
    square = sum(
        float(((part[start : start + at_once] - mean) ** 2).sum(dtype=np.float64))
        for part in parts
        for start in range(0, len(part), at_once)
    )
    return mean, (square / n) ** 0.5


def _latest(store: InteractionStore) -> Tensor:
    latest = np.full(store.num_users, -np.inf)
    for segment in store.segments:
        if segment.time is not None and segment.num_edges:
            here = np.maximum.reduceat(segment.time, segment.user_pointer[:-1])
            latest[segment.user] = np.maximum(latest[segment.user], here)
    return torch.from_numpy(latest)
