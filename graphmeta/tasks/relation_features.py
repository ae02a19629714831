"""What the edges of an episode carry: rating, recency and the degrees of both ends."""

from __future__ import annotations

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data.cold_users import Support
from graphmeta.tasks.episode import RATES

# rating, recency, log-degree of the user, log-degree of the item
EDGE_DIM = 4
_DAY = 86_400.0


class RelationFeatures:
    """Gives every edge four numbers of about unit size.

    - rating, in standard deviations from the mean of the training ratings; 0 without any, whatever
      a new user brings, since nothing was learnt of it;
    - recency, `- log(1 + days before the user's latest edge)`, 0 without training times;
    - log-degree of the user and of the item, less their mean over the training edges. A new
      user's degree is the size of the support.

    Args:
        graph: The training graph.
    """

    def __init__(self, graph: HeteroData) -> None:
        store = graph[RATES]
        user, item = store.edge_index
        num_users, num_items = int(graph["user"].num_nodes), int(graph["item"].num_nodes)
        self._item_degree = torch.bincount(item, minlength=num_items).float()
        user_degree = torch.bincount(user, minlength=num_users).float()
        user_log, item_log = user_degree.log1p()[user], self._item_degree.log1p()[item]
        self._user_mean, self._item_mean = float(user_log.mean()), float(item_log.mean())
        self._has_rating, self._has_time = "rating" in store, "time" in store
        rating = store.rating.float() if self._has_rating else torch.zeros(len(user))
        self._rating_mean = float(rating.mean())
        self._rating_std = max(float(rating.std(correction=0)), 1e-6)
        recency = torch.zeros(len(user))
        if self._has_time:
            latest = torch.full((num_users,), -torch.inf, dtype=torch.float64)
            latest = latest.scatter_reduce(0, user, store.time, "amax")
            recency = -((latest[user] - store.time) / _DAY).log1p().float()
        self._edges = torch.stack(
            [
                self._standard(rating),
                recency,
                user_log - self._user_mean,
                item_log - self._item_mean,
            ],
            dim=1,
        )

    def of_edges(self, edge_id: Tensor) -> Tensor:
        """Return the features of training edges; float32, `[n_edges, EDGE_DIM]`."""
        return self._edges[edge_id]

    def of_support(self, support: Support, *, is_training: bool) -> Tensor:
        """Return the features of support edges; float32, `[n_users, k, EDGE_DIM]`.

        Args:
            support: What the users have shown.
            is_training: The users are training users, whose own edge is not counted in the
                degree of an item, as a new user's is not.
        """
        mask = support.mask
        out = torch.zeros(*mask.shape, EDGE_DIM)
        if support.rating is not None and self._has_rating:
            out[..., 0] = self._standard(support.rating.float())
        if support.time is not None and self._has_time and mask.size(1):
            time = support.time.where(mask, -torch.inf)
            age = (time.amax(1, keepdim=True) - time).where(mask, 0.0)
            out[..., 1] = -(age / _DAY).log1p().float()
        out[..., 2] = support.size.float().log1p().unsqueeze(1) - self._user_mean
        degree = self._item_degree[support.item_index.clamp(min=0)] - float(is_training)
        out[..., 3] = degree.clamp(min=0).log1p() - self._item_mean
        return out * mask.unsqueeze(-1)

    def _standard(self, rating: Tensor) -> Tensor:
        return ((rating - self._rating_mean) / self._rating_std).nan_to_num(0.0)
