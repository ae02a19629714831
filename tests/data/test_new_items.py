"""Items that nobody has interacted with yet."""

import pandas as pd
import pytest
import torch

from graphmeta.data import (
    FeatureMatrix,
    feature_matrix,
    from_frame,
    planted_interactions,
    with_domains,
    with_new_items,
)
from graphmeta.errors import DataError


def _features(ids: list[str], tastes: list[str]) -> FeatureMatrix:
    table = pd.DataFrame({"item": [*ids, "x", "y"], "taste": [*tastes, "t0", "t1"]})
    return feature_matrix(table, id="item", categorical=["taste"])


def test_new_items_come_behind_the_known_ones() -> None:
    table = planted_interactions()
    ids = table["item"].unique().tolist()
    features = _features(ids, ["t0", "t1"] * (len(ids) // 2))
    graph = from_frame(table, item_features=features)
    more = with_new_items(graph, features)
    assert more["item"].id_map.ids.tolist() == [*graph["item"].id_map.ids, "x", "y"]
    assert more["item"].x[-2:].tolist() == [[1, 0], [0, 1]]
    assert torch.equal(more["item"].x[:-2], graph["item"].x)
    assert more.num_edges == graph.num_edges
    # The graph is as it was, and nothing is there twice.
    assert graph["item"].num_nodes == len(ids)
    assert with_new_items(more, features)["item"].num_nodes == len(ids) + 2


def test_what_does_not_fit_is_refused() -> None:
    table = planted_interactions()
    ids = table["item"].unique().tolist()
    features = _features(ids, ["t0", "t1"] * (len(ids) // 2))
    with pytest.raises(DataError, match="have none with names; build it with item_features="):
        with_new_items(from_frame(table), features)
    graph = from_frame(table, item_features=features)
    other = _features(ids, ["t0", "t2"] * (len(ids) // 2))
    with pytest.raises(DataError, match="have 3 features and the graph's 2"):
        with_new_items(graph, other)
    numbers = FeatureMatrix(type(features.id_map)([1, 2]), features.x[:2], features.names)
    with pytest.raises(DataError, match="ids are int64 and the graph's object"):
        with_new_items(graph, numbers)
    named = with_domains(graph, dict.fromkeys(ids, "films"))
    with pytest.raises(DataError, match="add items before"):
        with_new_items(named, features)
