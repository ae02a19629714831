"""The users whose rows a model may hold, and those whom it only learns from under noise."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data.bipartite_graph import FORWARD, bipartite_graph
from graphmeta.data.links import has_links
from graphmeta.data.split import split_hash
from graphmeta.errors import ConfigError, DataError


def open_users(train: HeteroData, share: float, *, seed: int = 0) -> Tensor:
    """Return which users stand for those who consented, drawn by the hash of their ids.

    For experiments; in use it is the users who say so.

    Args:
        train: A training graph.
        share: The share of users to draw, 0 to 1.
        seed: Draws them, whoever else is in the graph.

    Shapes:
        output: bool, `[n_users]`.

    Raises:
        ConfigError: `share` is out of its range.
    """
    if not 0 <= share <= 1:
        raise ConfigError(f"share={share} must be in 0..1")
    ids = train["user"].id_map.ids
    return torch.tensor([split_hash(f"open/{seed}/{user}") < share for user in ids])


def part_users(train: HeteroData, is_open: Tensor) -> tuple[HeteroData, HeteroData]:
    """Return the graph of the open users and that of the private ones, with the same items.

    Every item of `train` is in both, with its features: the list of items is taken to be public.
    Links between users are in neither.

    Args:
        train: A training graph.
        is_open: Which users may be part of a model.

    Shapes:
        is_open: bool, `[n_users]`.

    Raises:
        DataError: `is_open` is not of that shape, or there are no users of one kind.
    """
    n_users = int(train["user"].num_nodes)
    if is_open.shape != (n_users,) or is_open.dtype != torch.bool:
        raise DataError(
            f"is_open is {is_open.dtype} of shape {list(is_open.shape)}; give a bool for each of "
            f"the {n_users} users"
        )
    if bool(is_open.all()) or not bool(is_open.any()):
        raise DataError(
            f"{int(is_open.sum())} of {n_users} users are open; private training needs both kinds"
        )
    return _graph_of(train, is_open), _graph_of(train, ~is_open)


def refuse_unlike(open_graph: HeteroData, private: HeteroData) -> None:
    """Check that private users' items are those of the open users, and the users are others.

    Raises:
        DataError: They are not, or one of the graphs has links.
    """
    if has_links(open_graph) or has_links(private):
        raise DataError(
            "links are of two users, and what they teach is not accounted for; make both graphs "
            "with part_users, which leaves links out"
        )
    if not np.array_equal(open_graph["item"].id_map.ids, private["item"].id_map.ids):
        raise DataError(
            "open and private users must have the same items in the same order; make both graphs "
            "with part_users"
        )
    both = np.intersect1d(open_graph["user"].id_map.ids, private["user"].id_map.ids)
    if len(both):
        raise DataError(
            f"{len(both)} users, such as {both[0]!r}, are open and private; whoever is in the open "
            "graph is not protected, so name each user once"
        )


def _graph_of(train: HeteroData, is_kept: Tensor) -> HeteroData:
    store, rows = train[FORWARD], is_kept.nonzero().flatten()
    kept = is_kept[store.edge_index[0]]
    row = is_kept.cumsum(0) - 1
    user, item = store.edge_index[:, kept]
    return bipartite_graph(
        torch.stack([row[user], item]),
        user_ids=train["user"].id_map.select(rows),
        item_ids=train["item"].id_map,
        rating=store.rating[kept] if "rating" in store else None,
        time=store.time[kept] if "time" in store else None,
        user_x=train["user"].x[rows] if "x" in train["user"] else None,
        item_x=train["item"].x if "x" in train["item"] else None,
        item_x_names=train["item"].get("x_names"),
    )
