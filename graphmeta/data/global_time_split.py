"""The global-time split: train on the past, test on users who arrive later."""

from __future__ import annotations

import numpy as np
from torch_geometric.data import HeteroData

from graphmeta.data.bipartite_graph import FORWARD
from graphmeta.data.cold_users import ColdSplit
from graphmeta.data.split import cold_users, history_size, item_rank, training_graph
from graphmeta.errors import ConfigError, DataError


def split_global_time(
    graph: HeteroData,
    *,
    quantile: float = 0.9,
    time: float | None = None,
    validation_share: float = 0.1,
    k_max: int | None = None,
) -> ColdSplit:
    """Split by time: no training edge is as new as the validation or the test period.

    Test time t is `time`, else the `quantile` of all edge times. Validation time v is the
    quantile of the share of edges up to t less `validation_share`. Then
    training edges are those strictly before v; validation users have their first interaction
    at v or later and not after t, and only their edges up to t count; test users have their
    first interaction after t. `ColdSplit.seed` is 0: nothing is drawn.

    Args:
        graph: A graph with times on its edges.
        quantile: Share of edges that are not after t.
        time: The test time t itself, instead of `quantile`.
        validation_share: Share of edges between v and t.
        k_max: Largest support; see `split_cold_users`.

    Raises:
        ConfigError: `quantile` or `validation_share` leaves nothing to train on.
        DataError: The edges have no time, or no validation or test user has enough history.
    """
    store = graph[FORWARD]
    if "time" not in store:
        raise DataError("the graph has no edge times; give time= when reading it")
    if not 0 < quantile < 1:
        raise ConfigError(f"quantile={quantile} must lie strictly between 0 and 1")
    times = store.time.numpy()
    end = float(np.quantile(times, quantile)) if time is None else time
    before = float((times <= end).mean()) - validation_share
    if not (0 < validation_share < 1 and before > 0):
        raise ConfigError(
            f"validation_share={validation_share} leaves no edge to train on before {end:g}; "
            "lower it or choose a later time"
        )
    start = float(np.quantile(times, before))
    users, items = store.edge_index.numpy()
    arrival = np.full(graph["user"].num_nodes, np.inf)
    np.minimum.at(arrival, users, times)
    arrival = arrival[users]
    train_edges = np.flatnonzero(times < start)
    if not len(train_edges):
        raise ConfigError(f"no edge is before the validation time {start:g}; choose a later time")
    train, item_row = training_graph(graph, train_edges)
    k = history_size(graph, k_max)
    order = np.lexsort((item_rank(graph)[items], times, users))
    masks = {
        "validation": (arrival >= start) & (arrival <= end) & (times <= end),
        "test": arrival > end,
    }
    parts = [
        cold_users(graph, order[mask[order]], item_row, train=train, k_max=k, name=name)
        for name, mask in masks.items()
    ]
    return ColdSplit(train, parts[0], parts[1], 0)
