"""Items of several domains, such as books and films: one type of node each, or one for all."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data.bipartite_graph import FORWARD, bipartite_graph
from graphmeta.data.id_map import IdMap
from graphmeta.data.links import carry_links
from graphmeta.errors import DataError


def with_domains(graph: HeteroData, domains: Mapping[Any, str] | pd.Series[Any]) -> HeteroData:
    """Return the bipartite graph with the domain of every item.

    Args:
        graph: A graph with `(user, rates, item)` edges; it is not changed.
        domains: The domain by item id; others than the graph's items may be there.

    Returns:
        A shallow copy with `domain` (int64, `[n_items]`) and `domain_names`, an `IdMap` of the
        domains in alphabetical order, on its items.

    Raises:
        DataError: An item has no domain, or more than one.
    """
    of_item = domains if isinstance(domains, pd.Series) else pd.Series(domains, dtype=object)
    ids = graph["item"].id_map.ids
    if not of_item.index.is_unique:
        twice = of_item.index[of_item.index.duplicated()][0]
        raise DataError(f"item {twice!r} comes twice among the domains; give one row per item")
    found = of_item.reindex(ids)
    if found.isna().any():
        missing = ids[found.isna().to_numpy()][:3].tolist()
        raise DataError(
            f"{int(found.isna().sum())} of {len(ids)} items have no domain (first: {missing}); "
            "give every item one, and check the type of the ids"
        )
    code, names = pd.factorize(found.astype(str), sort=True)
    return _labelled(graph, torch.from_numpy(code.astype(np.int64)), IdMap(names))


def domain_of(graph: HeteroData) -> tuple[Tensor, IdMap]:
    """Return the domain of every item and the domains' names.

    Raises:
        DataError: The items have no domains.
    """
    if "domain" not in graph["item"]:
        raise DataError("the items have no domains; give them with data.with_domains")
    return graph["item"].domain, graph["item"].domain_names


def join_domains(graph: HeteroData) -> HeteroData:
    """Return the bipartite graph of a graph with several types of items.

    A recommender is fitted on all domains together: its users are the same, and what they like in
    one tells what they like in another.

    Args:
        graph: Users, and edges `(user, rates, T)` to items of each type T. Nodes have ids
            (`id_map`) as in all graphs of `graphmeta.data`. Features of all types stand in the same
            columns where their `x_names` agree, else side by side with zeros between.

    Returns:
        One type of items, `item`, with `domain` and `domain_names` as `with_domains` gives them,
        and the users' social links.

    Raises:
        DataError: There is no such edge, an item's id is in two domains, or some edges only have
            ratings or times.
    """
    names = sorted(item for source, rates, item in graph.edge_types if rates == FORWARD[1])
    if not names or "user" not in graph.node_types:
        raise DataError("the graph has no ('user', 'rates', T) edges; name its edge types so")
    ids = np.concatenate([np.asarray(graph[name].id_map.ids, dtype=object) for name in names])
    twice = pd.Index(ids).duplicated()
    if twice.any():
        raise DataError(
            f"item id {ids[twice][0]!r} is in two domains; make ids distinct, as in 'book/7'"
        )
    sizes = torch.tensor([int(graph[name].num_nodes) for name in names])
    start = sizes.cumsum(0) - sizes
    stores = [graph["user", FORWARD[1], name] for name in names]
    edge_index = torch.cat(
        [
            store.edge_index + torch.tensor([[0], [int(at)]])
            for store, at in zip(stores, start, strict=True)
        ],
        1,
    )
    x, x_names = _joined_features(graph, names)
    joined = bipartite_graph(
        edge_index,
        user_ids=graph["user"].id_map,
        item_ids=IdMap(pd.Index(ids).infer_objects()),
        rating=_of_all(stores, "rating"),
        time=_of_all(stores, "time"),
        user_x=graph["user"].get("x"),
        item_x=x,
        item_x_names=x_names,
    )
    carry_links(graph, joined)
    domain = torch.arange(len(names)).repeat_interleave(sizes)
    return _labelled(joined, domain, IdMap(names))


def split_domains(graph: HeteroData) -> HeteroData:
    """Return the graph with a type of nodes for each domain, for PyG encoders that tell them apart.

    It undoes `join_domains`.

    Args:
        graph: A bipartite graph with domains.

    Returns:
        Edges `(user, rates, T)` and `(T, rev_rates, user)` for each domain T, and the users'
        social links.

    Raises:
        DataError: The items have no domains, or one is called "user".
    """
    domain, names = domain_of(graph)
    edge_index = graph[FORWARD].edge_index
    if "user" in names.ids:
        raise DataError("a domain is called 'user', as the users are; give it another name")
    out = HeteroData()
    out["user"].update(graph["user"].to_dict())
    for code, name in enumerate(names.ids.tolist()):
        kept = (domain == code).nonzero().flatten()
        row = torch.full((len(domain),), -1)
        row[kept] = torch.arange(len(kept))
        out[name].num_nodes = len(kept)
        out[name].id_map = graph["item"].id_map.select(kept)
        if "x" in graph["item"]:
            out[name].x = graph["item"].x[kept]
        if "x_names" in graph["item"]:
            out[name].x_names = graph["item"].x_names
        inside = domain[edge_index[1]] == code
        own = torch.stack([edge_index[0, inside], row[edge_index[1, inside]]])
        for edge_type, index in (
            (("user", "rates", name), own),
            ((name, "rev_rates", "user"), own.flip(0).contiguous()),
        ):
            out[edge_type].edge_index = index
            for about in ("rating", "time"):
                if about in graph[FORWARD]:
                    out[edge_type][about] = graph[FORWARD][about][inside]
    carry_links(graph, out)
    return out


def _labelled(graph: HeteroData, domain: Tensor, names: IdMap) -> HeteroData:
    labelled = copy.copy(graph)
    labelled["item"].domain, labelled["item"].domain_names = domain, names
    return labelled


def _of_all(stores: list[Any], name: str) -> Tensor | None:
    """Return what all types of edges have, such as ratings, one after the other."""
    having = [name in store for store in stores]
    if not any(having):
        return None
    if not all(having):
        raise DataError(f"some types of edges have a {name} and some have not; give all or none")
    return torch.cat([store[name] for store in stores])


def _joined_features(graph: HeteroData, names: list[str]) -> tuple[Tensor | None, IdMap | None]:
    """Return the features of all items and the columns' names, where they have any."""
    empty = {name: torch.zeros(int(graph[name].num_nodes), 0) for name in names}
    blocks = [graph[name].get("x", empty[name]) for name in names]
    if not any(block.size(1) for block in blocks):
        return None, None
    labels = [graph[name].get("x_names") for name in names]
    if labels[0] is not None and all(label == labels[0] for label in labels):
        return torch.cat(blocks), labels[0]
    columns = [
        f"{name}:{column}"
        for name, block, label in zip(names, blocks, labels, strict=True)
        for column in (range(block.size(1)) if label is None else label.ids)
    ]
    return torch.block_diag(*blocks), IdMap(columns)
