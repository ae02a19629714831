"""Splits training users' histories into a support and a query."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data.cold_users import Support
from graphmeta.data.links import TRUSTS, LinkLists, has_links
from graphmeta.errors import DataError
from graphmeta.tasks.csr import CSR, narrow
from graphmeta.tasks.episode import RATES
from graphmeta.tasks.seen_items import SeenItems


class SupportDraws:
    """Draws supports of training users as new users will come: random items, or the first.

    A training user stands for a new one whom the others' catalogue serves: items that nobody
    else has are left out, as a split leaves out what no training user has.

    Args:
        graph: The training graph.
        counts: Which items are shown and predicted; by default those that two users have. Given
            where a user's episodes must not depend on other users of the graph.

    Attributes:
        users: Rows of the users with at least two items.
        n_items: Of each user of the graph.

    Shapes:
        counts: bool, `[n_items]`.
        users: int64, `[n_users_with_two]`.
        n_items: int64, `[n_users]`.

    Raises:
        DataError: No user has two items that others have too.
    """

    def __init__(self, graph: HeteroData, *, counts: Tensor | None = None) -> None:
        store = graph[RATES]
        self.is_timed = "time" in store
        item = store.edge_index[1]
        is_shared = (item.bincount() > 1 if counts is None else counts)[item]
        are_all_shared = bool(is_shared.all())
        items = CSR.from_edge_index(
            store.edge_index if are_all_shared else store.edge_index[:, is_shared],
            num_rows=int(graph["user"].num_nodes),
            time=store.time[is_shared] if self.is_timed else None,
        )
        self._items = items if are_all_shared else replace(items, index=narrow(items.index))
        domain = graph["item"].get("domain")
        self._domain = (
            torch.zeros(int(graph["item"].num_nodes)).long() if domain is None else domain
        )
        self._rating: Tensor | None = store.rating[is_shared] if "rating" in store else None
        self._user_x: Tensor | None = graph["user"].x if "x" in graph["user"] else None
        self._links: LinkLists | None = None
        if has_links(graph):
            self._links = LinkLists(graph[TRUSTS].edge_index, int(graph["user"].num_nodes))
        self.n_items = self._items.indptr.diff()
        self.users = (self.n_items >= 2).nonzero().flatten()
        if not len(self.users):
            raise DataError(
                "no training user has two items that others have too; there is nothing to hold out "
                "and predict"
            )

    def fingerprint(self) -> str:
        """Return eight digits that tell one set of histories from another."""
        digest = hashlib.sha256()
        for array in (self._items.indptr, self._items.index):
            for part in array.split(2**20):
                digest.update(part.long().numpy().tobytes())
        return digest.hexdigest()[:8]

    def draw(
        self,
        users: Tensor,
        k: int,
        *,
        in_order: bool,
        generator: torch.Generator,
        share: float = 1.0,
        arrives: bool = False,
    ) -> tuple[Support, SeenItems]:
        """Return up to k items of each user, leaving at least one, and all of the user's.

        Args:
            users: Rows of the graph.
            k: Support size.
            in_order: Take the first items in time, not random ones.
            generator: Draws the items.
            share: No user shows more than this share of the own items, or one item.
            arrives: Each user is known in all domains but one, a random one, whose items are
                shown only where there are no others. Items without domains are in one.

        Shapes:
            output: a `Support` of shape `[n_users, k]`, and `SeenItems` of `n_users`.
        """
        items = self._items
        degree = items.indptr[users + 1] - items.indptr[users]
        row = torch.arange(len(users)).repeat_interleave(degree)
        first = degree.cumsum(0) - degree
        position = torch.arange(len(row)) - first[row]
        slot = position + items.indptr[users][row]
        seen = SeenItems(row, items.index[slot].long(), len(users))
        if arrives or not in_order:
            # A random order within each user: sort by a random key, then by user, stably.
            order = torch.rand(len(row), generator=generator).argsort()
            slot = slot[order[row[order].argsort(stable=True)]]
        if arrives:
            domain = self._domain[items.index[slot].long()]
            is_new = domain == domain[first[row]]
            slot = slot[(2 * row + is_new).argsort(stable=True)]
        shown = position < shown_of(degree, k, share)[row]
        at, slot = (row[shown], position[shown]), slot[shown]

        def filled(empty: float, values: Tensor) -> Tensor:
            out = torch.full((len(users), k), empty, dtype=values.dtype)
            out[at] = values
            return out

        rating, time, edge = self._rating, items.time, slot
        if items.edge_id is not None:
            edge = items.edge_id[slot].long()
        support = Support(
            filled(-1, items.index[slot].long()),
            None if rating is None else filled(0.0, rating[edge]),
            None if time is None else filled(0.0, time[slot]),
            None if self._user_x is None else self._user_x[users],
            links=None if self._links is None else self._links.of(users),
        )
        return support, seen


def shown_of(n_items: Tensor, k: int, share: float) -> Tensor:
    """Return how many of their items users show: up to k, up to a share, and one is left.

    Shapes:
        n_items: int64, `[n_users]`.
        output: int64, `[n_users]`.
    """
    return torch.minimum((share * n_items).long().clamp(min=1), n_items - 1).clamp(max=k)
