"""A batch of users' subgraphs, padded to equal size so that they adapt side by side."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from graphmeta.data.cold_users import Support

EdgeType = tuple[str, str, str]
RATES: EdgeType = ("user", "rates", "item")
REV_RATES: EdgeType = ("item", "rev_rates", "user")


@dataclass(frozen=True)
class EpisodeBatch:
    """The sampled subgraphs around the supports of a batch of users.

    In every episode the user is user node 0 and the support items are item nodes
    `0..k-1`. The first k edges of each edge type are the support edges, in the order of
    `support`. The last node of each type is a dummy: padding edges run between dummies,
    where no message of theirs can reach a real node.

    Shapes:
        support: a `Support` of shape `[n_episodes, k]`.
        node_index_dict: int64, `[n_episodes, n_nodes_of_type]`; rows of the training graph,
            -1 for the episode's user and for padding.
        edge_index_dict: int64, `[n_episodes, 2, n_edges_of_type]`, local node numbers.
    """

    support: Support
    node_index_dict: dict[str, Tensor]
    edge_index_dict: dict[EdgeType, Tensor]

    def __len__(self) -> int:
        return len(self.support)

    def leave_one_out(self) -> LeaveOneOut:
        """Return a view per support edge, in which that edge is taken out of the subgraph.

        A user with fewer than two edges has no view that still shows something; its views,
        like those of padding, have weight 0.
        """
        n, k = self.support.item_index.shape
        hidden = torch.arange(k, device=self.support.item_index.device).repeat(n)
        rows = torch.arange(n * k, device=hidden.device)
        repeated = {t: v.repeat_interleave(k, 0) for t, v in self.node_index_dict.items()}
        edges = {}
        for edge_type, edge_index in self.edge_index_dict.items():
            edge_index = edge_index.repeat_interleave(k, 0)
            edge_index[rows, 0, hidden] = repeated[edge_type[0]].size(1) - 1
            edge_index[rows, 1, hidden] = repeated[edge_type[2]].size(1) - 1
            edges[edge_type] = edge_index
        target = self.support.item_index.reshape(-1)
        shown = self.support.item_index.repeat_interleave(k, 0)
        shown[rows, hidden] = -1
        size = self.support.size.repeat_interleave(k)
        used = (target >= 0) & (size >= 2)
        views = EpisodeBatch(
            replace(self.support[rows // max(k, 1)], item_index=shown), repeated, edges
        )
        return LeaveOneOut(views, target.clamp(min=0), used / size.clamp(min=1))


@dataclass(frozen=True)
class LeaveOneOut:
    """Views of episodes that each hide one support edge, to be predicted from the others.

    Shapes:
        views: `n_episodes * k` episodes, those of one episode next to each other.
        target: int64, `[n_episodes * k]`; the hidden item's row in the catalogue.
        weight: float32, `[n_episodes * k]`; sums to 1 over the views of an episode, or is 0.
    """

    views: EpisodeBatch
    target: Tensor
    weight: Tensor
