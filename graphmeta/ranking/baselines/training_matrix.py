"""The users-by-items matrix of the training graph, and the products that baselines need."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data.bipartite_graph import FORWARD
from graphmeta.data.cold_users import Support
from graphmeta.data.scipy_matrix import to_scipy
from graphmeta.errors import DataError
from graphmeta.tasks.csr import CSR

# Below this share of nonzeros a sparse-sparse product is faster than sparse-dense.
SPARSE_SHARE = 0.05


class TrainingMatrix:
    """Who interacted with what, as ones, by user and by item.

    Args:
        train: A graph with `(user, rates, item)` edges.

    `in_time` is `by_user` with each row's items from the first to the last in time, in the order
    of the edges where they have none (`is_timed`).

    Shapes:
        user_count: float32, `[n_users]`; items of each user.
        item_count: float32, `[n_items]`; users of each item.
        log_popularity: float32, `[n_items]`; `log(1 + item_count)`.

    Raises:
        DataError: The graph has no edge.
    """

    def __init__(self, train: HeteroData) -> None:
        self.by_user: sp.csr_matrix = to_scipy(train)
        if not self.by_user.nnz:
            raise DataError("the training graph has no interaction; give at least one")
        self.by_item: sp.csr_matrix = self.by_user.T.tocsr()
        self.user_count = torch.from_numpy(np.diff(self.by_user.indptr)).float()
        self.item_count = torch.from_numpy(np.diff(self.by_item.indptr)).float()
        self.log_popularity = self.item_count.log1p()
        store = train[FORWARD]
        self.is_timed = "time" in store
        rows = CSR.from_edge_index(
            store.edge_index, num_rows=self.n_users, time=store.time if self.is_timed else None
        )
        parts = (self.by_user.data, rows.index.numpy(), rows.indptr.numpy())
        self.in_time: sp.csr_matrix = sp.csr_matrix(parts, shape=self.by_user.shape)

    @property
    def n_users(self) -> int:
        """Number of training users."""
        return int(self.by_user.shape[0])

    @property
    def n_items(self) -> int:
        """Number of catalogue items."""
        return int(self.by_user.shape[1])

    def first_items(self, k: int) -> sp.csr_matrix:
        """Return each user's first k items in time as ones, `[n_users, n_items]`.

        Users with no more than k items have none: nothing would be left to predict.
        """
        count = np.diff(self.in_time.indptr)
        user = np.arange(self.n_users).repeat(count)
        place = np.arange(len(user)) - self.in_time.indptr[user]
        is_first = (place < k) & (count[user] > k)
        where = (user[is_first], self.in_time.indices[is_first])
        return sp.csr_matrix((self.in_time.data[is_first], where), shape=self.by_user.shape)

    def check(self, support: Support) -> None:
        """Refuse items that the catalogue does not hold.

        Raises:
            DataError: An item index is not below `n_items`.
        """
        item = support.item_index
        if item.numel() and int(item.max()) >= self.n_items:
            raise DataError(
                f"support item {int(item.max())} is outside the catalogue of {self.n_items} items; "
                "map ids with the training graph's id map"
            )

    def support_matrix(self, support: Support) -> sp.csr_matrix:
        """Return the supports as a sparse matrix of ones, `[len(support), n_items]`."""
        row, slot = support.mask.nonzero(as_tuple=True)
        item = support.item_index[row, slot].numpy()
        ones = np.ones(len(item), dtype=np.float32)
        return sp.csr_matrix((ones, (row.numpy(), item)), shape=(len(support), self.n_items))

    def overlap(self, support: Support, *, item_weight: Tensor | None = None) -> Tensor:
        """Return what each new user shares with each training user.

        `overlap[n, v] = sum over the items i of both of item_weight[i]`; weights are 1 where
        left out.

        Shapes:
            item_weight: float32, `[n_items]`.
            output: float32, `[len(support), n_users]`.
        """
        shown = self.support_matrix(support)
        if item_weight is not None:
            shown.data = item_weight.numpy()[shown.indices]
        return torch.from_numpy((shown @ self.by_item).toarray())

    def votes(self, weight: Tensor) -> Tensor:
        """Return each item's sum of the weights of the training users who have it.

        Shapes:
            weight: float32, `[n, n_users]`.
            output: float32, `[n, n_items]`.
        """
        by_row: Any = weight.numpy()
        if np.count_nonzero(by_row) < SPARSE_SHARE * by_row.size:
            return torch.from_numpy((sp.csr_matrix(by_row) @ self.by_user).toarray())
        return torch.from_numpy(np.ascontiguousarray((self.by_item @ by_row.T).T))


def keep_largest(weight: Tensor, n: int) -> Tensor:
    """Return `weight` with zeros outside the `n` largest entries of each row.

    All entries equal to the n-th largest are kept, so that the result does not depend on the
    order of the columns.

    Shapes:
        weight: `[n_rows, n_columns]`.
    """
    if n >= weight.size(1):
        return weight
    least = weight.topk(n, dim=1).values[:, -1:]
    return weight.where(weight >= least, 0.0)
