"""What cold users show (support) and what must be ranked for them (query)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data.id_map import IdMap
from graphmeta.errors import ConfigError

# What a `Support` holds of a user as such; all else is of each interaction.
OF_USER = ("user_x", "links")


@dataclass(frozen=True)
class Support:
    """The few interactions of a batch of users, oldest first, padded with -1.

    Shapes:
        item_index: int64, `[n_users, k]`; -1 is padding.
        rating: float32, `[n_users, k]` or None.
        time: float64, `[n_users, k]` or None, in the unit of the graph's `time`.
        user_x: float32, `[n_users, n_features]` or None.
        weight: float32, `[n_users, k]`, how much each interaction counts for, or None where all
            count alike.
        links: int64, `[n_users, n_links]`; rows of the training users to whom these users are
            linked (`data.with_links`), -1 is padding; or None. Methods that know no links pass
            over them.
    """

    item_index: Tensor
    rating: Tensor | None = None
    time: Tensor | None = None
    user_x: Tensor | None = None
    weight: Tensor | None = None
    links: Tensor | None = None

    def __len__(self) -> int:
        return int(self.item_index.size(0))

    @property
    def mask(self) -> Tensor:
        """True where `item_index` is an interaction and not padding; bool, `[n_users, k]`."""
        return self.item_index >= 0

    @property
    def size(self) -> Tensor:
        """Number of interactions of each user; int64, `[n_users]`."""
        return self.mask.sum(dim=1)

    def to(self, device: torch.device | str) -> Support:
        """Return a copy on `device`."""
        moved = {
            f.name: v.to(device) if isinstance(v := getattr(self, f.name), Tensor) else v
            for f in fields(self)
        }
        return replace(self, **moved)

    def __getitem__(self, rows: Tensor | slice) -> Support:
        taken: dict[str, Any] = {
            f.name: v[rows] if isinstance(v := getattr(self, f.name), Tensor) else None
            for f in fields(self)
        }
        return replace(self, **taken)

    def at(self, columns: Tensor | slice) -> Support:
        """Return some of the interactions of every user, in that order.

        Args:
            columns: Their places, or a truth for each place, the same for all users.
        """
        taken = {
            f.name: v[:, columns]
            for f in fields(self)
            if f.name not in OF_USER and isinstance(v := getattr(self, f.name), Tensor)
        }
        return replace(self, **taken)

    def to_dense(self, num_items: int) -> Tensor:
        """Return the binary user-item matrix; float32, `[n_users, num_items]`."""
        out = torch.zeros(len(self), num_items + 1, device=self.item_index.device)
        out.scatter_(1, self.item_index.where(self.mask, num_items), 1.0)
        return out[:, :num_items]


@dataclass(frozen=True)
class ColdUsers:
    """Held-out users of a split: their first `k_max` interactions and all later ones.

    Item indices are rows of the training catalogue. The query is the same for every k. What
    the evaluation says about the catalogue needs its ids and how known each item is, so they
    travel with the users.

    Args:
        user_ids: Ids of these users.
        first: Their first interactions.
        query_ptr: Where each user's query starts and ends.
        query_index: The queries, one user after the other.
        item_ids: Ids of the catalogue.
        item_count: Training users of each item of the catalogue.
        n_train_users: Training users in all.
        before: What is known of them whatever k, from other domains say; no part of k.
        candidates: Whether an item may be ranked; None for the whole catalogue. What is known
            `before` must not be.

    Shapes:
        first: a `Support` of shape `[n_users, k_max]`, without padding but for warm users
            (`split_warm_users`), each of whom has shown another number of items.
        query_ptr: int64, `[n_users + 1]`; the query of user u is
            `query_index[query_ptr[u]:query_ptr[u + 1]]`.
        query_index: int64, `[n_query]`.
        item_count: int64, `[n_items]`.
        before: a `Support` of shape `[n_users, n_before]`, padded.
        candidates: bool, `[n_items]`.
    """

    user_ids: IdMap
    first: Support
    query_ptr: Tensor
    query_index: Tensor
    item_ids: IdMap
    item_count: Tensor
    n_train_users: int
    before: Support | None = None
    candidates: Tensor | None = None

    def __len__(self) -> int:
        return len(self.user_ids)

    @property
    def k_max(self) -> int:
        """The largest support size that the split offers."""
        return int(self.first.item_index.size(1))

    def support(self, k: int) -> Support:
        """Return each user's first `k` interactions, after what is known `before`.

        Raises:
            ConfigError: `k` is negative or above `k_max`.
        """
        if not 0 <= k <= self.k_max:
            raise ConfigError(f"k={k} is outside 0..{self.k_max}, what the split holds; lower k")
        shown: dict[str, Any] = {}
        for name in ("item_index", "rating", "time"):
            value = getattr(self.first, name)
            if value is not None:
                value = value[:, :k]
                if self.before is not None:
                    value = torch.cat([getattr(self.before, name), value], dim=1)
            shown[name] = value
        return replace(self.first, **shown)

    def query(self, user: int) -> Tensor:
        """Return the query items of the user in row `user`; int64, `[n_query_of_user]`."""
        return self.query_index[self.query_ptr[user] : self.query_ptr[user + 1]]

    def select(self, rows: Tensor) -> ColdUsers:
        """Return the users in `rows`, in that order."""
        rows = rows.long()
        counts = self.query_ptr.diff()[rows]
        ptr = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
        offset = torch.repeat_interleave(self.query_ptr[rows] - ptr[:-1], counts)
        return replace(
            self,
            user_ids=self.user_ids.select(rows),
            first=self.first[rows],
            before=None if self.before is None else self.before[rows],
            query_ptr=ptr,
            query_index=self.query_index[offset + torch.arange(len(offset))],
        )

    def batches(self, size: int) -> Iterator[tuple[slice, ColdUsers]]:
        """Yield the users in consecutive blocks of at most `size`, with their row range."""
        for start in range(0, len(self), size):
            stop = min(start + size, len(self))
            yield slice(start, stop), self.select(torch.from_numpy(np.arange(start, stop)))


@dataclass(frozen=True)
class ColdSplit:
    """Training graph and cold validation and test users, disjoint.

    `train` holds training users and the catalogue only (every item that a training user
    interacted with), renumbered from 0 with its own id maps.
    """

    train: HeteroData
    validation: ColdUsers
    test: ColdUsers
    seed: int

    @property
    def k_max(self) -> int:
        """The largest support size; 10, or 5 on sparse sets."""
        return self.test.k_max
