"""Users who are known in some domains and new in another."""

from __future__ import annotations

import difflib
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data.bipartite_graph import FORWARD
from graphmeta.data.cold_users import ColdSplit, ColdUsers, Support
from graphmeta.data.domains import domain_of
from graphmeta.data.links import translated_links
from graphmeta.data.split import (
    Array,
    cold_users,
    held_out_roles,
    history_order,
    history_size,
    training_graph,
)
from graphmeta.errors import ConfigError, DataError


def split_cross_domain(
    graph: HeteroData,
    target: str,
    *,
    seed: int = 0,
    k_max: int | None = None,
    n_known: int = 10,
) -> ColdSplit:
    """Hold out users as `split_cold_users` does, as users who arrive in one domain from others.

    The training graph is that of the training users in all domains. A held-out user's first
    interactions, and the query, are those in the target domain; `before` holds the latest ones in
    other domains, where there are times only those before the first in the target, so that
    nobody is known by what came later. Only items of the target are candidates. Users of whom
    nothing is known before are left out: `split_cold_users` is for them.

    Args:
        graph: A bipartite graph with domains (`with_domains`, `join_domains`).
        target: The domain in which users are new.
        seed: The split seed.
        k_max: Largest support in the target; by rule as in `split_cold_users`, by the users'
            interactions in the target.
        n_known: Most interactions known before.

    Raises:
        DataError: The items have no domains, there is no such domain, or no held-out user has
            enough history in it and some before.
        ConfigError: `n_known` or `k_max` is below 1.
    """
    if n_known < 1:
        raise ConfigError(f"n_known={n_known} must be at least 1")
    domain, names = domain_of(graph)
    code = int(names.find([target])[0])
    if code < 0:
        near = difflib.get_close_matches(target, names.ids.tolist(), n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names.ids)}"
        raise DataError(f"no domain {target!r}; {hint}")
    users, items = graph[FORWARD].edge_index.numpy()
    in_target = (domain == code).numpy()[items]
    role = held_out_roles(graph, seed)
    train, item_row = training_graph(graph, np.flatnonzero(role[users] == 0))
    k = history_size(graph, k_max, edges=in_target)
    order = history_order(
        graph, np.flatnonzero(role[users] > 0), seed, in_time="time" in graph[FORWARD]
    )
    parts = []
    for part, name in ((1, "validation"), (2, "test")):
        edges = order[role[users[order]] == part]
        new = cold_users(
            graph,
            edges[in_target[edges]],
            item_row,
            train=train,
            k_max=k,
            name=f"{name} ({target})",
        )
        parts.append(
            _known(new, graph, edges[~in_target[edges]], item_row, n_known=n_known, name=name)
        )
    candidates = train["item"].domain == code
    validation, test = (replace(part, candidates=candidates) for part in parts)
    return ColdSplit(train, validation, test, seed)


def target_alone(split: ColdSplit) -> ColdSplit:
    """Return the same users as if there were nothing but the target domain.

    It is what a service sees that keeps its domains apart: a graph of the target's interactions,
    and users of whom nothing is known before. Queries and candidates are the same.

    Args:
        split: What `split_cross_domain` returned.

    Raises:
        DataError: The split is of no single domain.
    """
    candidates = split.test.candidates
    if candidates is None:
        raise DataError("the split has no target domain; make it with split_cross_domain")
    store = split.train[FORWARD]
    train, item_row = training_graph(
        split.train, candidates[store.edge_index[1]].nonzero().flatten().numpy()
    )
    row = torch.from_numpy(item_row)
    validation, test = (
        replace(
            users,
            first=replace(
                users.first,
                item_index=row[users.first.item_index],
                links=translated_links(
                    users.first.links, split.train["user"].id_map, train["user"].id_map
                ),
            ),
            query_index=row[users.query_index],
            item_ids=train["item"].id_map,
            item_count=users.item_count[candidates],
            n_train_users=int(train["user"].num_nodes),
            before=None,
            candidates=None,
        )
        for users in (split.validation, split.test)
    )
    return ColdSplit(train, validation, test, split.seed)


def _known(
    new: ColdUsers,
    graph: HeteroData,
    edges: Array,
    item_row: Array,
    *,
    n_known: int,
    name: str,
) -> ColdUsers:
    """Return those users of whom something is known before, with it.

    Args:
        new: Users by what they did in the target.
        graph: The whole graph.
        edges: Edges in other domains sorted by user, then in the order of the history.
        item_row: Row in the catalogue of each item, -1 where it is not in it.
        n_known: Most edges of a user, the latest.
        name: What to call these users in an error.
    """
    store = graph[FORWARD]
    users, items = store.edge_index.numpy()
    row_of_user = np.full(int(graph["user"].num_nodes), -1)
    row_of_user[graph["user"].id_map.to_index(new.user_ids.ids).numpy()] = np.arange(len(new))
    kept = (item_row[items[edges]] >= 0) & (row_of_user[users[edges]] >= 0)
    if new.first.time is not None:
        arrival = new.first.time[:, 0].numpy()[row_of_user[users[edges]]]
        kept &= store.time.numpy()[edges] < arrival
    edges = edges[kept]
    # Rows rise, as users do: a user's edges stand together, the latest last.
    row = row_of_user[users[edges]]
    n_of_user = np.bincount(row, minlength=len(new))
    place = np.arange(len(row)) - (n_of_user.cumsum() - n_of_user)[row]
    slot = place - np.maximum(n_of_user - n_known, 0)[row]
    edges, at = edges[slot >= 0], (row[slot >= 0], slot[slot >= 0])

    def filled(empty: float, values: Tensor) -> Tensor:
        out = torch.full((len(new), n_known), empty, dtype=values.dtype)
        out[at] = values
        return out

    chosen = torch.from_numpy(edges)
    before = Support(
        filled(-1, torch.from_numpy(item_row[items[edges]])),
        filled(0.0, store.rating[chosen]) if "rating" in store else None,
        filled(0.0, store.time[chosen]) if "time" in store else None,
    )
    is_known = torch.from_numpy(n_of_user > 0)
    if not bool(is_known.any()):
        raise DataError(
            f"of none of the {len(new)} {name} users is anything known before; use more data or "
            "another target"
        )
    return replace(new, before=before).select(is_known.nonzero().flatten())
