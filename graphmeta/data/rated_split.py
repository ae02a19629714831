"""Users who have rated some items, and a few others whose order they are to be told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data.bipartite_graph import FORWARD, bipartite_graph
from graphmeta.data.cold_users import Support
from graphmeta.data.id_map import IdMap
from graphmeta.data.split import Array, held_out_roles, history_order
from graphmeta.errors import ConfigError, DataError

# Fewest and most ratings of a user who is a task, as published protocols have it.
TASK_SIZES = (13, 100)
N_QUERY = 10


@dataclass(frozen=True)
class RatedUsers:
    """Users with the ratings that they show and those that are kept from methods.

    Args:
        user_ids: Ids of these users.
        support: What they show, with ratings.
        item_index: The items that are to be put in order; rows of the training catalogue.
        rating: What they rated these.

    Shapes:
        support: `[n_users, k]`, padded.
        item_index: int64, `[n_users, n_query]`.
        rating: float32, `[n_users, n_query]`.
    """

    user_ids: IdMap
    support: Support
    item_index: Tensor
    rating: Tensor

    def __len__(self) -> int:
        return len(self.user_ids)


@dataclass(frozen=True)
class RatedSplit:
    """A training graph with all items of the data, and users whose ratings are to be ordered.

    Args:
        train: The ratings that methods learn from. Items without any are in it, with no edge.
        validation: Users to tune on.
        test: Users to judge by, by the name of their part.
        seed: The split seed.
    """

    train: HeteroData
    validation: RatedUsers
    test: Mapping[str, RatedUsers]
    seed: int


def split_rated_users(graph: HeteroData, *, seed: int = 0, n_query: int = N_QUERY) -> RatedSplit:
    """Split users with 13 to 100 ratings into training, validation and test users, 8 : 1 : 1.

    All others are left out. Of a held-out user `n_query` random ratings are the query and all
    others the support: RecBole-MetaRec's protocol for ratings (its hash here in place of a random
    generator; `split_cold_users` says which). Test users are named "test".

    Args:
        graph: A bipartite graph with ratings.
        seed: The split seed.
        n_query: Ratings that are kept from methods.

    Raises:
        DataError: The graph has no ratings, or no user of a role has as many as a task needs.
        ConfigError: `n_query` leaves no support.
    """
    users = _check(graph, n_query)
    count = np.bincount(users, minlength=int(graph["user"].num_nodes))
    is_task = (count >= TASK_SIZES[0]) & (count <= TASK_SIZES[1])
    role = np.where(is_task, held_out_roles(graph, seed), -1)[users]
    parts = [
        _rated_users(graph, np.flatnonzero(role == part), seed, n_query, name)
        for part, name in ((1, "validation"), (2, "test"))
    ]
    train = with_all_items(graph, np.flatnonzero(role == 0))
    return RatedSplit(train, parts[0], {"test": parts[1]}, seed)


def split_rated_parts(
    graph: HeteroData, part: Array, *, training: str, seed: int = 0, n_query: int = N_QUERY
) -> RatedSplit:
    """Split ratings by the part that the publisher of a data set has put each in.

    A tenth of the users of the training part, by the hash of the id, are held out: those with 13
    to 100 ratings there are for validation, and the others of this tenth are left out. What the
    other nine tenths rated there, however much, is the training graph. In every other part, users
    with 13 to 100 ratings there show all but `n_query` random ones of them, as in MetaHIN's
    cold-start scenarios (Lu, Fang and Shi, KDD 2020).

    Args:
        graph: A bipartite graph with ratings.
        part: The part's name, of each edge; `[n_edges]`.
        training: The part to train on.
        seed: Draws validation users and queries.
        n_query: Ratings that are kept from methods.

    Raises:
        DataError: The graph has no ratings, the training part is empty, or no user of a part has
            as many as a task needs.
        ConfigError: `n_query` leaves no support, or `part` is not one name an edge.
    """
    users = _check(graph, n_query)
    if len(part) != len(users):
        raise ConfigError(f"part has {len(part)} names for {len(users)} edges; give one for each")
    in_training = part == training
    if not in_training.any():
        known = ", ".join(map(str, np.unique(part)))
        raise DataError(f"no rating is in part {training!r}; there are: {known}")
    is_held_out = in_training & (held_out_roles(graph, seed) == 1)[users]
    test = {
        str(name): _rated_users(graph, np.flatnonzero(part == name), seed, n_query, str(name))
        for name in np.unique(part)
        if name != training
    }
    validation = _rated_users(graph, np.flatnonzero(is_held_out), seed, n_query, "validation")
    train = with_all_items(graph, np.flatnonzero(in_training & ~is_held_out))
    return RatedSplit(train, validation, test, seed)


def _check(graph: HeteroData, n_query: int) -> Array:
    """Return each edge's user of a graph with ratings."""
    if "rating" not in graph[FORWARD]:
        raise DataError("the graph has no ratings; name their column with rating=")
    if not 1 <= n_query < TASK_SIZES[0]:
        raise ConfigError(f"n_query={n_query} must be 1 to {TASK_SIZES[0] - 1}")
    users: Array = graph[FORWARD].edge_index[0].numpy()
    return users


def _rated_users(graph: HeteroData, edges: Array, seed: int, n_query: int, name: str) -> RatedUsers:
    """Return the users of these edges who have as many of them as a task needs."""
    store = graph[FORWARD]
    order = history_order(graph, edges, seed, in_time=False)
    who, start, count = np.unique(
        store.edge_index[0].numpy()[order], return_index=True, return_counts=True
    )
    fits = (count >= TASK_SIZES[0]) & (count <= TASK_SIZES[1])
    if not fits.any():
        raise DataError(
            f"no {name} user has {TASK_SIZES[0]} to {TASK_SIZES[1]} ratings; use more data"
        )
    who, start, count = who[fits], start[fits, None], count[fits, None]
    query = torch.from_numpy(order[start + np.arange(n_query)])
    slot = np.arange(n_query, count.max())
    is_shown = torch.from_numpy(slot < count)
    shown = torch.from_numpy(order[start + np.minimum(slot, count - 1)])
    item = store.edge_index[1]
    support = Support(
        item[shown].where(is_shown, -1),
        store.rating[shown].where(is_shown, 0.0),
        user_x=graph["user"].x[torch.from_numpy(who)] if "x" in graph["user"] else None,
    )
    ids = IdMap(graph["user"].id_map.ids[who])
    return RatedUsers(ids, support, item[query], store.rating[query])


def with_all_items(graph: HeteroData, edges: Array, *, rated: bool = True) -> HeteroData:
    """Return the graph of these edges and their users, with all items.

    Args:
        graph: A bipartite graph with ratings.
        edges: Numbers of edges.
        rated: Whether these have their ratings.

    Raises:
        DataError: There is no edge.
    """
    if not len(edges):
        raise DataError("no rating is left to train on; use more data")
    keep, store = torch.from_numpy(edges), graph[FORWARD]
    who, user = store.edge_index[0, keep].unique(return_inverse=True)
    return bipartite_graph(
        torch.stack([user, store.edge_index[1, keep]]),
        user_ids=graph["user"].id_map.select(who),
        item_ids=graph["item"].id_map,
        rating=store.rating[keep] if rated else None,
        user_x=graph["user"].x[who] if "x" in graph["user"] else None,
        item_x=graph["item"].get("x"),
        item_x_names=graph["item"].get("x_names"),
    )
