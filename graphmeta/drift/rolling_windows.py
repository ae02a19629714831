"""Windows in global time: what was known when each began, and who came during it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from torch_geometric.data import HeteroData

from graphmeta.data.bipartite_graph import FORWARD
from graphmeta.data.cold_users import ColdSplit
from graphmeta.data.split import (
    cold_users,
    history_size,
    hold_out_validation,
    item_rank,
    training_graph,
)
from graphmeta.errors import ConfigError, DataError


@dataclass(frozen=True)
class Window:
    """One window of a prequential evaluation.

    Args:
        number: Its place in time, from 0.
        start: When it begins.
        end: When it ends.
        split: `train` holds interactions before `start` only, `validation` users who came before
            it and are left out of training, `test` the users who came in the window.
    """

    number: int
    start: float
    end: float
    split: ColdSplit


def rolling_windows(
    graph: HeteroData,
    *,
    n_windows: int = 5,
    first: float = 0.4,
    history: float | None = None,
    seed: int = 0,
    k_max: int | None = None,
) -> Iterator[Window]:
    """Yield windows with equally many interactions: test on a window, then train on it too.

    At the start t of a window all that is known lies before t: the training graph is made of
    those interactions, and validation users are held out of it by the hash of their id, as
    `hold_out_validation` does. Test users have their first interaction of all in the window;
    support and query are what they do until it ends. The next window begins where it ends, and
    knows all of it (prequential evaluation: Gama, Sebastião and Rodrigues, "On evaluating stream
    learning algorithms", Machine Learning, 2013).

    Args:
        graph: A graph with times on its edges.
        n_windows: How many.
        first: Share of the interactions before the first window.
        history: Share of all interactions that training looks back over, the latest before a
            window; None for all of them. Where items live for days, old ones only cost.
        seed: Chooses the validation users.
        k_max: Largest support, see `split_cold_users`.

    Raises:
        ConfigError: A number is out of its range.
        DataError: The edges have no time, or a window has no test or validation user with enough
            history.
    """
    store = graph[FORWARD]
    if "time" not in store:
        raise DataError("the graph has no edge times; give time= when reading it")
    if n_windows < 1 or not 0 < first < 1 or not (history is None or 0 < history <= 1):
        raise ConfigError(
            f"n_windows={n_windows} must be at least 1, first={first} between 0 and 1, and "
            f"history={history} above 0 and at most 1, or None"
        )
    times = store.time.numpy()
    users, items = store.edge_index.numpy()
    arrival = np.full(graph["user"].num_nodes, np.inf)
    np.minimum.at(arrival, users, times)
    arrival = arrival[users]
    k = history_size(graph, k_max)
    order = np.lexsort((item_rank(graph)[items], times, users))
    ends = np.quantile(times, np.linspace(first, 1, n_windows + 1))
    ends[-1] = np.nextafter(ends[-1], np.inf)  # The last interaction is in the last window.
    for number, (start, end) in enumerate(pairwise(ends)):
        past = times < start
        if history is not None:
            past &= times >= np.quantile(times, max(0.0, float(past.mean()) - history))
        known, _ = training_graph(graph, np.flatnonzero(past))
        train, validation = hold_out_validation(known, seed=seed, k_max=k)
        # Items that validation users alone have are not in the catalogue.
        row = train["item"].id_map.find(graph["item"].id_map.ids).numpy()
        came = (arrival >= start) & (times < end)
        test = cold_users(graph, order[came[order]], row, train=train, k_max=k, name="test")
        split = ColdSplit(train, validation, test, seed)
        yield Window(number, float(start), float(end), split)
