"""Windows in time: nothing newer than a window's start is learnt from."""

import numpy as np
import pandas as pd
import pytest
from torch_geometric.data import HeteroData

from graphmeta.data import audit_split, from_frame
from graphmeta.drift import newcomers, rolling_windows
from graphmeta.errors import ConfigError, DataError


@pytest.fixture(scope="module")
def graph() -> HeteroData:
    rng = np.random.default_rng(0)
    users = np.repeat(np.arange(300), 20)
    time = users * 10 + rng.integers(0, 30, len(users))
    frame = pd.DataFrame({"user": users, "item": rng.integers(0, 40, len(users)), "time": time})
    return from_frame(frame, time="time")


def test_a_window_knows_what_is_before_it_alone(graph: HeteroData) -> None:
    windows = list(rolling_windows(graph, n_windows=3, first=0.5, seed=1, k_max=3))
    assert [w.number for w in windows] == [0, 1, 2]
    seen: set[int] = set()
    for window, following in zip(windows, [*windows[1:], None], strict=True):
        split = window.split
        assert audit_split(split, split_time=window.start).timed_edges > 0
        assert float(split.train["user", "rates", "item"].time.max()) < window.start
        first = split.test.first.time
        assert first is not None
        assert window.start <= float(first.min()) <= float(first.max()) < window.end
        if following is not None:
            assert following.start == window.end
        users = {int(u) for u in split.test.user_ids.ids}
        assert not users & seen  # Nobody is new twice.
        assert not users & {int(u) for u in split.train["user"].id_map.ids}
        seen |= users
    held = [set(w.split.validation.user_ids.ids.tolist()) for w in windows]
    assert held[0] <= held[1] <= held[2]  # Once held out, never trained on.


def test_histories_end_with_the_window(graph: HeteroData) -> None:
    """By hand: each user's support and query are the user's items in the window."""
    window = next(rolling_windows(graph, n_windows=2, first=0.5, k_max=3))
    store = graph["user", "rates", "item"]
    known = set(window.split.train["item"].id_map.ids.tolist())
    user = window.split.test.user_ids.ids[-1]
    mine = store.edge_index[0] == int(graph["user"].id_map.find([user]))
    mine &= (store.time >= window.start) & (store.time < window.end)
    items = graph["item"].id_map.to_ids(store.edge_index[1, mine]).tolist()
    test = window.split.test
    shown = test.first.item_index[-1]
    found = test.item_ids.to_ids(shown).tolist()
    found += test.item_ids.to_ids(test.query(len(test) - 1)).tolist()
    assert sorted(found) == sorted(i for i in items if i in known)


def test_a_short_history_looks_back_less(graph: HeteroData) -> None:
    whole, short = (
        next(rolling_windows(graph, n_windows=2, first=0.5, history=h, k_max=3))
        for h in (None, 0.1)
    )
    assert whole.start == short.start
    edges = [w.split.train["user", "rates", "item"] for w in (whole, short)]
    assert float(edges[1].time.min()) > float(edges[0].time.min())
    assert 0.05 * graph["user", "rates", "item"].num_edges < edges[1].num_edges


def test_newcomers(graph: HeteroData) -> None:
    came = newcomers(graph, 2500.0)
    assert min(came) >= 248
    assert 299 in came
    with pytest.raises(DataError, match="no user came"):
        newcomers(graph, 1e9)


def test_what_cannot_be_cut_is_refused(graph: HeteroData) -> None:
    for wrong in ({"n_windows": 0}, {"first": 1.0}, {"history": 0.0}):
        with pytest.raises(ConfigError, match="n_windows="):
            next(rolling_windows(graph, **wrong))
    untimed = graph.clone()
    del untimed["user", "rates", "item"].time
    with pytest.raises(DataError, match="no edge times"):
        next(rolling_windows(untimed))
    with pytest.raises(DataError, match="no edge times"):
        newcomers(untimed, 0.0)
