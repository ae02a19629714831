"""Items that nobody has interacted with yet, as nodes of a graph."""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch_geometric.data import HeteroData

from graphmeta.data.features import FeatureMatrix
from graphmeta.data.id_map import IdMap
from graphmeta.errors import DataError


def with_new_items(graph: HeteroData, item_features: FeatureMatrix) -> HeteroData:
    """Return the graph with a node for every further item that is known by its features.

    They come behind the items of the graph, in the order of `item_features`, and have no edge.
    `fit` and `refreshed` then rank them by what items with like features score
    (`ranking.NewItemScores`): a new item can be recommended at once, without training anew.

    Args:
        graph: A bipartite graph whose items have features; it is left as it is.
        item_features: Features of the new items, encoded by the same columns; those of known items
            are passed over.

    Raises:
        DataError: The graph's items have no features, or others, or ids of another type; or they
            have domains, which are to be named when all items are there.
    """
    names = graph["item"].get("x_names")
    if "x" not in graph["item"] or names is None:
        raise DataError(
            "new items are known by their features, and the graph's items have none with names; "
            "build it with item_features=feature_matrix(...)"
        )
    if tuple(names.ids) != item_features.names:
        raise DataError(
            f"the new items have {len(item_features.names)} features and the graph's "
            f"{len(names)}, or others; encode both in one feature_matrix"
        )
    if "domain" in graph["item"]:
        raise DataError("the new items have no domains; add items before data.with_domains")
    known: IdMap = graph["item"].id_map
    ids = item_features.id_map.ids
    if ids.dtype.kind != known.ids.dtype.kind:
        raise DataError(
            f"the new items' ids are {ids.dtype} and the graph's {known.ids.dtype}; give both as "
            "numbers or both as text"
        )
    is_new = known.find(ids).numpy() < 0
    extended = copy.copy(graph)
    extended["item"].num_nodes = len(known) + int(is_new.sum())
    extended["item"].id_map = IdMap(np.concatenate([known.ids, ids[is_new]]))
    extended["item"].x = torch.cat([graph["item"].x, item_features.x[torch.from_numpy(is_new)]])
    return extended
