"""Items that are new to the catalogue, for users who are new as well."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch_geometric.data import HeteroData

from graphmeta.data.bipartite_graph import FORWARD, bipartite_graph
from graphmeta.data.cold_users import ColdSplit, ColdUsers
from graphmeta.data.links import carry_links
from graphmeta.data.split import (
    Array,
    cold_users,
    held_out_roles,
    history_order,
    history_size,
    split_hash,
    training_graph,
)
from graphmeta.errors import ConfigError, DataError


def split_cold_items(
    graph: HeteroData, *, seed: int = 0, share: float = 0.1, k_max: int | None = None
) -> ColdSplit:
    """Hold out items as well as users: new ones, of which nothing is known but their features.

    With `h` = `split_hash` and split seed S, item i is new where `h(f"{S}/item/{i}")` is below
    `share`; users are held out as by `split_cold_users`. In the training graph new items have no
    edge. Held-out users show their first known items; the query is their new ones, and the new
    items alone are candidates. (Ranking them among all others would ask how popular they will be.)

    Args:
        graph: A bipartite graph whose items have features.
        seed: The split seed S.
        share: Share of the items that are new, above 0 and below 1.
        k_max: Largest support, as in `split_cold_users`; a user needs 5 new items, 1 where it is 5
            or less.

    Raises:
        DataError: Items have no features, nothing is left to train on, or no held-out user has
            enough known and new items.
        ConfigError: `share` or `k_max` is out of its range.
    """
    if not 0 < share < 1:
        raise ConfigError(f"share={share} must be above 0 and below 1")
    if "x" not in graph["item"]:
        raise DataError(
            "items have no features, so that nothing is known of new ones; give item_features"
        )
    is_new = np.array([split_hash(f"{seed}/item/{i}") < share for i in graph["item"].id_map.ids])
    users, items = graph[FORWARD].edge_index.numpy()
    role = held_out_roles(graph, seed)
    training = np.flatnonzero((role[users] == 0) & ~is_new[items])
    if not len(training):
        raise DataError(f"seed {seed} leaves no interaction to train on; use more data")
    train, row = _with_new_items(graph, training, is_new)
    k = history_size(graph, k_max)
    order = history_order(
        graph, np.flatnonzero(role[users] > 0), seed, in_time="time" in graph[FORWARD]
    )
    order = order[row[items[order]] >= 0]
    candidates = torch.arange(int(train["item"].num_nodes)) >= int((~is_new & (row >= 0)).sum())
    parts: list[ColdUsers] = []
    for part, name in ((1, "validation"), (2, "test")):
        edges = _shown_then_new(order[role[users[order]] == part], users, is_new[items], k)
        found = cold_users(graph, edges, row, train=train, k_max=k, name=f"{name} (new items)")
        parts.append(replace(found, candidates=candidates))
    return ColdSplit(train, parts[0], parts[1], seed)


def _with_new_items(graph: HeteroData, training: Array, is_new: Array) -> tuple[HeteroData, Array]:
    """Return the training graph with the new items behind the known ones, and every item's row."""
    known, row = training_graph(graph, training)
    new = np.flatnonzero(is_new)
    row[new] = known["item"].num_nodes + np.arange(len(new))
    item = np.concatenate([np.flatnonzero((row >= 0) & ~is_new), new])
    chosen, store = torch.from_numpy(item), known[FORWARD]
    train = bipartite_graph(
        store.edge_index,
        user_ids=known["user"].id_map,
        item_ids=graph["item"].id_map.select(chosen),
        rating=store.get("rating"),
        time=store.get("time"),
        user_x=known["user"].get("x"),
        item_x=graph["item"].x[chosen],
        item_x_names=graph["item"].get("x_names"),
    )
    carry_links(known, train)
    return train, row


def _shown_then_new(order: Array, users: Array, edge_is_new: Array, k: int) -> Array:
    """Return of each user with k known items the first k, then all the new ones.

    Args:
        order: Edges sorted by user, then in the order of the history.
        users: The user of every edge.
        edge_is_new: Whether an edge's item is new.
        k: Largest support.
    """
    known, new = order[~edge_is_new[order]], order[edge_is_new[order]]
    who, start, count = np.unique(users[known], return_index=True, return_counts=True)
    who, start = who[count >= k], start[count >= k]
    first = known[(start[:, None] + np.arange(k)).ravel()]
    new = new[np.isin(users[new], who)]
    together = np.concatenate([first, new])
    return together[np.argsort(users[together], kind="stable")]
