"""The deterministic cold-user split: who is held out, and what each of them shows first."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from torch_geometric.data import HeteroData

from graphmeta.data.bipartite_graph import FORWARD, bipartite_graph
from graphmeta.data.cold_users import ColdSplit, ColdUsers, Support
from graphmeta.data.id_map import IdMap
from graphmeta.data.links import carry_links, links_into
from graphmeta.errors import ConfigError, DataError

Array = np.ndarray[Any, np.dtype[Any]]
TEST_SHARE = 0.1
HELD_OUT_SHARE = 0.2


def split_hash(text: str) -> float:
    """Return `int(md5(text).hexdigest()[:8], 16) / 2**32`, a number in [0, 1)."""
    digest = hashlib.md5(text.encode("utf-8"), usedforsecurity=False).hexdigest()
    return int(digest[:8], 16) / 2**32


def split_cold_users(graph: HeteroData, *, seed: int = 0, k_max: int | None = None) -> ColdSplit:
    """Split users into training, validation and test users by the hash of their id.

    With `h` = `split_hash` and split seed S, user u is a test user where `h(f"{S}/{u}")`
    is below 0.1, a validation user below 0.2, else a training user. The catalogue is every
    item of a training user. A history is ordered by time, ties by item id (as numbers where
    ids are numbers, else as strings); without time by `h(f"{S}/{u}/{i}")`. Interactions
    outside the catalogue are dropped, then users with too short a history. Where the graph has
    links (`with_links`), those among training users stay, and a held-out user comes with the own
    ones to training users.

    Args:
        graph: A graph with `(user, rates, item)` edges.
        seed: The split seed S.
        k_max: Largest support. By rule 10, or 5 where the median number of items per user is
            under 10. A user needs 5 more interactions than that, 1 more where it is 5 or less.

    Raises:
        DataError: There is no training user, or no validation or test user has enough history.
        ConfigError: `k_max` is below 1.
    """
    role = held_out_roles(graph, seed)
    names = {1: "validation", 2: "test"}
    cut = partial(cold_users, k_max=history_size(graph, k_max))
    train, (validation, test) = held_out(graph, role, names, seed=seed, cut=cut)
    return ColdSplit(train, validation, test, seed)


def hold_out_validation(
    graph: HeteroData, *, seed: int = 0, k_max: int | None = None
) -> tuple[HeteroData, ColdUsers]:
    """Hold out the validation users of `split_cold_users` alone: for a model that goes into use.

    Test users would be lost to it.

    Args:
        graph: A graph with `(user, rates, item)` edges.
        seed: The split seed.
        k_max: Largest support, see `split_cold_users`.

    Raises:
        DataError: There is no training user, or no validation user has enough history.
        ConfigError: `k_max` is below 1.
    """
    role = held_out_roles(graph, seed)
    role[role == 2] = 0
    cut = partial(cold_users, k_max=history_size(graph, k_max))
    train, (validation,) = held_out(graph, role, {1: "validation"}, seed=seed, cut=cut)
    return train, validation


def held_out_roles(graph: HeteroData, seed: int) -> Array:
    """Return each user's role by the hash of the id: 0 for training, 1 validation, 2 test."""
    score = np.array([split_hash(f"{seed}/{u}") for u in graph["user"].id_map.ids])
    return np.where(score < TEST_SHARE, 2, np.where(score < HELD_OUT_SHARE, 1, 0))


def held_out(
    graph: HeteroData,
    role: Array,
    names: Mapping[int, str],
    *,
    seed: int,
    cut: Callable[..., ColdUsers],
) -> tuple[HeteroData, list[ColdUsers]]:
    """Return the graph of the users whose role is 0, and the users of each other role.

    Args:
        graph: A graph with `(user, rates, item)` edges.
        role: Of each user (`held_out_roles`).
        names: What the roles are called in errors; one part of the result for each.
        seed: The split seed, which orders histories without times.
        cut: Makes users of their histories, as `cold_users` does.

    Raises:
        DataError: There is no training user, or none of a role has enough history.
    """
    users = graph[FORWARD].edge_index[0].numpy()
    train_edges = np.flatnonzero(role[users] == 0)
    if not len(train_edges):
        raise DataError(f"seed {seed} leaves no training user of {len(role)}; add users")
    held_out_edges = np.flatnonzero(role[users] > 0)
    order = history_order(graph, held_out_edges, seed, in_time="time" in graph[FORWARD])
    train, item_row = training_graph(graph, train_edges)
    parts = [
        cut(graph, order[role[users[order]] == part], item_row, train=train, name=name)
        for part, name in names.items()
    ]
    return train, parts


def history_size(graph: HeteroData, k_max: int | None = None, *, edges: Array | None = None) -> int:
    """Return `k_max`, or by rule 10; 5 where the median items per user is under 10.

    Args:
        graph: A graph with `(user, rates, item)` edges.
        k_max: The caller's choice.
        edges: Edges that count; None for all.

    Raises:
        ConfigError: `k_max` is below 1.
    """
    if k_max is not None:
        if k_max < 1:
            raise ConfigError(f"k_max={k_max} is below 1; give at least 1")
        return k_max
    users = graph[FORWARD].edge_index[0].numpy()
    count = np.bincount(users if edges is None else users[edges])
    return 5 if np.median(count[count > 0]) < 10 else 10


def item_rank(graph: HeteroData) -> Array:
    """Return each item's place among the item ids: numeric where ids are, else as strings."""
    ids = graph["item"].id_map.ids
    keys = ids if np.issubdtype(ids.dtype, np.number) else np.array([str(i) for i in ids])
    rank = np.empty(len(ids), dtype=np.int64)
    rank[np.argsort(keys, kind="stable")] = np.arange(len(ids))
    return rank


def training_graph(graph: HeteroData, edges: Array) -> tuple[HeteroData, Array]:
    """Return the graph of the given edges, renumbered, and each item's new row (-1: none)."""
    keep = torch.from_numpy(edges)
    store = graph[FORWARD]
    edge_index = store.edge_index[:, keep].clone()
    ids, x = {}, {}
    rows = {}
    for side, node in enumerate(("user", "item")):
        kept = edge_index[side].unique()
        row = torch.full((graph[node].num_nodes,), -1, dtype=torch.long)
        row[kept] = torch.arange(len(kept))
        edge_index[side] = row[edge_index[side]]
        ids[node], rows[node] = graph[node].id_map.select(kept), row.numpy()
        x[node] = graph[node].x[kept] if "x" in graph[node] else None
    train = bipartite_graph(
        edge_index,
        user_ids=ids["user"],
        item_ids=ids["item"],
        rating=store.rating[keep] if "rating" in store else None,
        time=store.time[keep] if "time" in store else None,
        user_x=x["user"],
        item_x=x["item"],
        item_x_names=graph["item"].get("x_names"),
    )
    if "domain" in graph["item"]:
        train["item"].domain = graph["item"].domain[torch.from_numpy(rows["item"]) >= 0]
        train["item"].domain_names = graph["item"].domain_names
    carry_links(graph, train)
    return train, rows["item"]


def cold_users(
    graph: HeteroData,
    edges: Array,
    item_row: Array,
    *,
    train: HeteroData,
    k_max: int,
    name: str,
) -> ColdUsers:
    """Cut histories into the first `k_max` interactions and the query.

    Args:
        graph: The whole graph.
        edges: As in `shown_and_query`.
        item_row: As in `shown_and_query`.
        train: The graph of the training edges, which is the catalogue.
        k_max: Size of the largest support.
        name: What to call these users in an error.

    Raises:
        DataError: No user has enough history.
    """
    need = k_max + (5 if k_max > 5 else 1)
    return shown_and_query(
        graph,
        edges,
        item_row,
        train=train,
        n_shown=lambda count: np.full(len(count), k_max),
        need=need,
        needed_by=f"k_max={k_max}",
        name=name,
        advice="use more data, another seed or a lower k_max",
    )


def shown_and_query(
    graph: HeteroData,
    edges: Array,
    item_row: Array,
    *,
    train: HeteroData,
    n_shown: Callable[[Array], Array],
    need: int,
    needed_by: str,
    name: str,
    advice: str,
) -> ColdUsers:
    """Cut histories into what a user has shown and what is to be ranked.

    Args:
        graph: The whole graph.
        edges: Edge numbers sorted by user, then in the order of the history.
        item_row: Row in the catalogue of each item, -1 where it is not in it.
        train: The graph of the training edges, which is the catalogue.
        n_shown: How many interactions users show, from the lengths of their histories.
        need: Shortest history within the catalogue of a user who is kept.
        needed_by: What asks for that, for an error.
        name: What to call these users in an error.
        advice: What to do where there is none.

    Raises:
        DataError: No user has enough history.
    """
    store = graph[FORWARD]
    users, items = store.edge_index.numpy()
    edges = edges[item_row[items[edges]] >= 0]
    who, start, count = np.unique(users[edges], return_index=True, return_counts=True)
    enough = count >= need
    if not enough.any():
        longest = int(count.max()) if len(count) else 0
        raise DataError(
            f"no {name} user has the {need} interactions that {needed_by} needs (the longest "
            f"history within the catalogue is {longest}, {len(who)} {name} users); {advice}"
        )
    who, start, count = who[enough], start[enough], count[enough]
    shown = n_shown(count)
    slot = np.arange(shown.max())
    is_shown = torch.from_numpy(slot < shown[:, None])
    first = torch.from_numpy(edges[start[:, None] + np.minimum(slot, shown[:, None] - 1)])
    size = count - shown
    ptr = np.concatenate([[0], np.cumsum(size)])
    query = edges[np.repeat(start + shown - ptr[:-1], size) + np.arange(ptr[-1])]
    support = Support(
        torch.from_numpy(item_row[items[first]]).where(is_shown, -1),
        store.rating[first].where(is_shown, 0.0) if "rating" in store else None,
        store.time[first].where(is_shown, 0.0) if "time" in store else None,
        graph["user"].x[torch.from_numpy(who)] if "x" in graph["user"] else None,
        links=links_into(graph, torch.from_numpy(who), train),
    )
    return ColdUsers(
        IdMap(graph["user"].id_map.ids[who]),
        support,
        torch.from_numpy(ptr),
        torch.from_numpy(item_row[items[query]]),
        item_ids=train["item"].id_map,
        item_count=torch.bincount(train[FORWARD].edge_index[1], minlength=train["item"].num_nodes),
        n_train_users=int(train["user"].num_nodes),
    )


def history_order(graph: HeteroData, edges: Array, seed: int, *, in_time: bool) -> Array:
    """Return the edges sorted by user, then by time or else by `h(f"{S}/{u}/{i}")`.

    Ties are settled by item id. A user's order depends neither on other users nor on the order of
    the edges.
    """
    users, items = graph[FORWARD].edge_index.numpy()
    users, items = users[edges], items[edges]
    if in_time:
        key = graph[FORWARD].time.numpy()[edges]
    else:
        user_ids, item_ids = graph["user"].id_map.ids, graph["item"].id_map.ids
        pairs = zip(user_ids[users], item_ids[items], strict=True)
        key = np.array([split_hash(f"{seed}/{u}/{i}") for u, i in pairs])
    return edges[np.lexsort((item_rank(graph)[items], key, users))]
