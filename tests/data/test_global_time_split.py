import numpy as np
import pandas as pd
import pytest

from graphmeta.data import from_frame
from graphmeta.data.audit import audit_split
from graphmeta.data.global_time_split import split_global_time
from graphmeta.errors import ConfigError, DataError


@pytest.fixture
def graph():
    rng = np.random.default_rng(0)
    users = np.repeat(np.arange(100), 20)
    time = users * 10 + rng.integers(0, 30, len(users))
    frame = pd.DataFrame({"user": users, "item": rng.integers(0, 40, len(users)), "time": time})
    return from_frame(frame, time="time")


def test_no_training_edge_is_newer_than_what_is_held_out(graph):
    split = split_global_time(graph, quantile=0.8, validation_share=0.2, k_max=5)
    newest = float(split.train["user", "rates", "item"].time.max())
    assert newest < float(split.validation.first.time.min())
    assert float(split.validation.first.time.max()) < float(split.test.first.time.min())
    assert audit_split(split, split_time=newest).timed_edges > 0
    assert int(split.test.item_count.sum()) == split.train["user", "rates", "item"].num_edges
    assert split.test.n_train_users == split.train["user"].num_nodes


def test_what_cannot_be_split_is_refused(graph):
    with pytest.raises(ConfigError, match="leaves no edge to train on"):
        split_global_time(graph, quantile=0.1, validation_share=0.5)
    del graph["user", "rates", "item"].time
    with pytest.raises(DataError, match="no edge times"):
        split_global_time(graph)
