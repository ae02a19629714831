"""Rated items, labelled by the rating: what pointwise meta-learners of the papers learn from."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data.bipartite_graph import FORWARD
from graphmeta.data.cold_users import Support
from graphmeta.errors import DataError
from graphmeta.ranking.baselines.labelled_episodes import LabelledEpisode, LabelledItems


class RatedEpisodes:
    """Draws episodes of training users' ratings, and labels the supports of new users alike.

    Of a training user up to `query_size` random ratings are the query, one rating less than there
    are at most, and up to `k_max` others the support. Labels are ratings moved into 0 to 1.

    Args:
        graph: The training graph, with ratings.
        k_max: Largest support.
        query_size: Most ratings of a query.

    Raises:
        DataError: The graph has no ratings, all ratings are equal, or no user has two.
    """

    def __init__(self, graph: HeteroData, *, k_max: int, query_size: int) -> None:
        store = graph[FORWARD]
        if "rating" not in store:
            raise DataError("the training graph has no ratings; name their column with rating=")
        self.k_max, self.query_size = k_max, query_size
        self._low, high = (float(f(store.rating)) for f in (torch.min, torch.max))
        if high == self._low:
            raise DataError(f"all ratings are {high}; there is nothing to tell apart")
        self._span = high - self._low
        user, item = store.edge_index.numpy()
        shape = (int(graph["user"].num_nodes), int(graph["item"].num_nodes))
        by_user = sp.csr_matrix((store.rating.numpy(), (user, item)), shape=shape)
        self._start = torch.from_numpy(by_user.indptr.astype(np.int64))
        self._item = torch.from_numpy(by_user.indices.astype(np.int64))
        self._label = self._scaled(torch.from_numpy(by_user.data))
        self._user_x: Tensor | None = graph["user"].x if "x" in graph["user"] else None
        self.users = (self._start.diff() >= 2).nonzero().flatten()
        if not len(self.users):
            raise DataError("no training user has two ratings; there is nothing to predict")

    def draw(self, users: Tensor, generator: torch.Generator) -> LabelledEpisode:
        """Return an episode of these users.

        Shapes:
            users: int64, `[n_users]`.
        """
        count = self._start.diff()[users].unsqueeze(1)
        slot = torch.arange(int(count.max()))
        is_own = slot < count
        key = torch.rand(is_own.shape, generator=generator).masked_fill(~is_own, 2.0)
        place = key.argsort(dim=1)[:, : self.query_size + self.k_max]
        edge = self._start[users].unsqueeze(1) + place.minimum(count - 1)
        slot, is_own = slot[: place.size(1)], is_own[:, : place.size(1)]
        is_query = slot < (count - 1).clamp(max=self.query_size)
        item, label = self._item[edge], self._label[edge]
        width = min(self.query_size, place.size(1))
        return LabelledEpisode(
            None if self._user_x is None else self._user_x[users],
            LabelledItems(item[:, 1:], label[:, 1:], (is_own & ~is_query)[:, 1:]),
            LabelledItems(item[:, :width], label[:, :width], is_query[:, :width]),
        )

    def label(self, support: Support) -> LabelledItems:
        """Return a new user's support with its labels.

        Raises:
            DataError: The support has no ratings.
        """
        if support.rating is None:
            raise DataError("labels='ratings' needs the ratings of what users have shown")
        label = self._scaled(support.rating).clamp(0, 1)
        return LabelledItems(support.item_index.clamp(min=0), label, support.mask)

    def _scaled(self, rating: Tensor) -> Tensor:
        return (rating - self._low) / self._span
