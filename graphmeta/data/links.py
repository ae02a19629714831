"""Social links: whom a user trusts or is a friend of, as a further type of edges."""

from __future__ import annotations

import copy

import pandas as pd
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data.id_map import IdMap
from graphmeta.errors import DataError

TRUSTS = ("user", "trusts", "user")


def with_links(
    graph: HeteroData,
    links: pd.DataFrame,
    *,
    user: str = "user",
    friend: str = "friend",
    is_mutual: bool = False,
) -> HeteroData:
    """Return the graph with edges `(user, trusts, user)` from users to those they are linked to.

    Recommenders that are fitted on it know new users by their links as well (`SocialVote`).
    Links of a user to himself, or with somebody who is not in the graph, are left out.

    Args:
        graph: A graph with `(user, rates, item)` edges; it is not changed.
        links: A row per link.
        user: Column with the id of who trusts, follows or is a friend.
        friend: Column with the id of who is trusted.
        is_mutual: Every link holds both ways, though it may be listed one way only.

    Raises:
        DataError: A column is missing, or no link joins two users of the graph.
    """
    missing = [name for name in (user, friend) if name not in links]
    if missing:
        raise DataError(
            f"the links have no column {missing[0]!r} among {', '.join(map(str, links))}; name "
            "the columns with user= and friend="
        )
    ids: IdMap = graph["user"].id_map
    ends = torch.stack([ids.find(links[user].to_numpy()), ids.find(links[friend].to_numpy())])
    if is_mutual:
        ends = torch.cat([ends, ends.flip(0)], dim=1)
    ends = ends[:, (ends >= 0).all(0) & (ends[0] != ends[1])]
    if not ends.size(1):
        raise DataError(
            f"none of the {len(links)} links joins two of the {len(ids)} users; check the type of "
            f"the ids (the graph holds {ids.ids.dtype})"
        )
    linked = copy.copy(graph)
    linked[TRUSTS].edge_index = ends.unique(dim=1)
    return linked


def has_links(graph: HeteroData) -> bool:
    """Return whether the graph has social links."""
    return TRUSTS in graph.edge_types


def carry_links(graph: HeteroData, other: HeteroData) -> None:
    """Give a graph the links among those of its users who are in the first, by their ids."""
    if has_links(graph):
        row = other["user"].id_map.find(graph["user"].id_map.ids)
        ends = row[graph[TRUSTS].edge_index]
        other[TRUSTS].edge_index = ends[:, (ends >= 0).all(0)]


class LinkLists:
    """Whom each of the users is linked to.

    Args:
        edge_index: Links.
        n_users: How many users may have some.

    Shapes:
        edge_index: int64, `[2, n_links]`, users above those they are linked to.
    """

    def __init__(self, edge_index: Tensor, n_users: int) -> None:
        user, friend = edge_index
        self._friend = friend[user.argsort(stable=True)]
        self._count = user.bincount(minlength=n_users)
        self._start = self._count.cumsum(0) - self._count

    def of(self, users: Tensor) -> Tensor:
        """Return the links of some users.

        Shapes:
            users: int64, `[n]`.
            output: int64, `[n, m]`, as many as the most linked one has; -1 is padding.
        """
        count = self._count[users]
        row = torch.arange(len(users)).repeat_interleave(count)
        place = torch.arange(len(row)) - (count.cumsum(0) - count)[row]
        out = torch.full((len(users), int(count.max()) if len(users) else 0), -1)
        out[row, place] = self._friend[self._start[users][row] + place]
        return out


def links_into(graph: HeteroData, users: Tensor, other: HeteroData) -> Tensor | None:
    """Return some users' links to users of another graph, such as that of the training users.

    Args:
        graph: Has the links.
        users: Rows of it.
        other: Where the linked users are looked up by their ids; who is not there is left out.

    Shapes:
        users: int64, `[n]`.
        output: int64, `[n, m]`, rows of `other`, -1 is padding; None where there are no links.
    """
    if not has_links(graph):
        return None
    user, friend = graph[TRUSTS].edge_index
    row = other["user"].id_map.find(graph["user"].id_map.ids)[friend]
    known = torch.stack([user, row])[:, row >= 0]
    return LinkLists(known, int(graph["user"].num_nodes)).of(users)


def translated_links(links: Tensor | None, old: IdMap, new: IdMap) -> Tensor | None:
    """Return padded links as rows of another list of users; who is not there becomes padding.

    Args:
        links: Rows of the old list, -1 for none.
        old: The `IdMap` of the users that they are rows of.
        new: The `IdMap` of the others.

    Shapes:
        links: int64, `[n, m]`, or None.
        output: as `links`.
    """
    if links is None:
        return None
    row = new.find(old.ids)
    return row[links.clamp(min=0)].where(links >= 0, -1)
