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
        edge_attr_dict: float32, `[n_episodes, n_edges_of_type, edge_dim]`, relation features.
        own_user: int64, `[n_episodes]`; the row of a training user, -1 for a new user.
        voters: int64, `[n_episodes, n_voters]`; rows of training users who share an item with
            the support, -1 for padding. None where all who do are meant.
    """

    support: Support
    node_index_dict: dict[str, Tensor]
    edge_index_dict: dict[EdgeType, Tensor]
    edge_attr_dict: dict[EdgeType, Tensor]
    own_user: Tensor
    voters: Tensor | None = None

    def __len__(self) -> int:
        return len(self.support)

    def __getitem__(self, rows: slice) -> EpisodeBatch:
        """Return some of the episodes."""
        return EpisodeBatch(
            self.support[rows],
            {t: x[rows] for t, x in self.node_index_dict.items()},
            {t: x[rows] for t, x in self.edge_index_dict.items()},
            {t: x[rows] for t, x in self.edge_attr_dict.items()},
            self.own_user[rows],
            None if self.voters is None else self.voters[rows],
        )

    def to(self, device: torch.device | str) -> EpisodeBatch:
        """Return a copy on `device`."""
        return EpisodeBatch(
            self.support.to(device),
            {t: x.to(device) for t, x in self.node_index_dict.items()},
            {t: x.to(device) for t, x in self.edge_index_dict.items()},
            {t: x.to(device) for t, x in self.edge_attr_dict.items()},
            self.own_user.to(device),
            None if self.voters is None else self.voters.to(device),
        )

    def leave_one_out(
        self, *, max_views: int | None = None, generator: torch.Generator | None = None
    ) -> LeaveOneOut:
        """Return views of each episode in which one support edge is out of the subgraph.

        A user with fewer than two edges has no view that still shows something; its views,
        like those of padding, have weight 0.

        Args:
            max_views: Views per episode; fewer than k hide edges drawn at random, which makes
                the leave-one-out loss cheaper and noisier. All where it is None.
            generator: Draws the hidden edges; without it the first are hidden.
        """
        n, k = self.support.item_index.shape
        v = k if max_views is None else min(k, max_views)
        hidden = self._hidden_slots(v, generator).reshape(-1)
        rows = torch.arange(n * v, device=hidden.device)
        repeated = {t: x.repeat_interleave(v, 0) for t, x in self.node_index_dict.items()}
        edges = {}
        for edge_type, edge_index in self.edge_index_dict.items():
            edge_index = edge_index.repeat_interleave(v, 0)
            edge_index[rows, 0, hidden] = repeated[edge_type[0]].size(1) - 1
            edge_index[rows, 1, hidden] = repeated[edge_type[2]].size(1) - 1
            edges[edge_type] = edge_index
        episode = torch.arange(n, device=hidden.device).repeat_interleave(v)
        target = self.support.item_index[episode, hidden]
        shown = self.support.item_index[episode]
        shown[rows, hidden] = -1
        used = (target >= 0) & (self.support.size >= 2)[episode]
        part: Tensor = used
        if self.support.weight is not None:
            part = used * self.support.weight[episode, hidden]
        whole = part.view(n, v).sum(1)
        whole = torch.where(whole > 0, whole, 1.0)[episode]
        views = EpisodeBatch(
            replace(self.support[episode], item_index=shown),
            repeated,
            edges,
            {t: x.repeat_interleave(v, 0) for t, x in self.edge_attr_dict.items()},
            self.own_user[episode],
            None if self.voters is None else self.voters[episode],
        )
        return LeaveOneOut(views, target.clamp(min=0), part / whole)

    def _hidden_slots(self, v: int, generator: torch.Generator | None) -> Tensor:
        """Return v slots of each support to hide, filled slots first; `[n_episodes, v]`."""
        mask = self.support.mask
        if generator is None or v == mask.size(1):
            return torch.arange(v, device=mask.device).expand(len(mask), v)
        key = torch.rand(mask.shape, generator=generator, device=generator.device)
        key = key.to(mask.device).masked_fill(~mask, 2.0)
        return key.argsort(1)[:, :v]


@dataclass(frozen=True)
class LeaveOneOut:
    """Views of episodes that each hide one support edge, to be predicted from the others.

    Shapes:
        views: `n_episodes * v` episodes, those of one episode next to each other.
        target: int64, `[n_episodes * v]`; the hidden item's row in the catalogue.
        weight: float32, `[n_episodes * v]`; sums to 1 over the views of an episode, or is 0.
    """

    views: EpisodeBatch
    target: Tensor
    weight: Tensor
