"""What the edges of an episode carry: rating, recency and the degrees of both ends."""

from __future__ import annotations

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data.cold_users import Support
from graphmeta.store.interaction_store import InteractionStore
from graphmeta.tasks.edge_statistics import EdgeStatistics

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
        graph: The training graph, or a store.
    """

    def __init__(self, graph: HeteroData | InteractionStore) -> None:
        self._known = EdgeStatistics.of(graph)

    def of_edges(self, user: Tensor, item: Tensor, edge_id: Tensor) -> Tensor:
        """Return the features of training edges, of which both ends are given.

        Shapes:
            user: int64, `[n_edges]`; item: int64, `[n_edges]`; edge_id: int64, `[n_edges]`.
            output: float32, `[n_edges, EDGE_DIM]`.
        """
        known, none = self._known, torch.zeros(len(edge_id))
        rating = none if known.rating is None else self._standard(known.rating.at(edge_id))
        recency = none
        if known.time is not None and known.latest is not None:
            recency = -((known.latest[user] - known.time.at(edge_id)) / _DAY).log1p().float()
        user_log = known.user_degree[user].log1p() - known.user_mean
        item_log = known.item_degree[item].log1p() - known.item_mean
        return torch.stack([rating, recency, user_log, item_log], dim=1)

    def of_support(self, support: Support, *, is_training: Tensor | bool) -> Tensor:
        """Return the features of support edges; float32, `[n_users, k, EDGE_DIM]`.

        Args:
            support: What the users have shown.
            is_training: Which users, or whether all, are training users, whose own edge is not
                counted in the degree of an item, as a new user's is not.

        Shapes:
            is_training: bool, `[n_users]`.
        """
        mask, known = support.mask, self._known
        out = torch.zeros(*mask.shape, EDGE_DIM)
        if support.rating is not None and known.rating is not None:
            out[..., 0] = self._standard(support.rating.float())
        if support.time is not None and known.time is not None and mask.size(1):
            time = support.time.where(mask, -torch.inf)
            age = (time.amax(1, keepdim=True) - time).where(mask, 0.0)
            out[..., 1] = -(age / _DAY).log1p().float()
        out[..., 2] = support.size.float().log1p().unsqueeze(1) - known.user_mean
        own_edge = torch.as_tensor(is_training).float().reshape(-1, 1)
        degree = known.item_degree[support.item_index.clamp(min=0)] - own_edge
        out[..., 3] = degree.clamp(min=0).log1p() - known.item_mean
        return out * mask.unsqueeze(-1)

    def _standard(self, rating: Tensor) -> Tensor:
        known = self._known
        return ((rating - known.rating_mean) / max(known.rating_std, 1e-6)).nan_to_num(0.0)
