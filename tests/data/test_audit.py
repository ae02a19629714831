import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch
from torch_geometric.data import HeteroData

from graphmeta.data import from_frame, split_cold_users
from graphmeta.data.audit import audit_leakage, audit_split
from graphmeta.errors import DataError, LeakageError


@pytest.fixture
def graph():
    frame = pd.DataFrame({"user": ["ann", "ann", "bob"], "item": [10, 20, 20], "time": [1, 2, 9]})
    return from_frame(frame, time="time")


def test_a_clean_graph_is_counted(graph):
    report = audit_leakage(
        graph, held_out=["cid"], supervision=torch.tensor([[1], [0]]), split_time=9
    )
    assert (report.message_edges, report.held_out_users, report.supervision_edges) == (3, 1, 1)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"held_out": ["bob"]}, r"held-out user's edge \(bob, 20\)"),
        ({"supervision": torch.tensor([[0], [0]])}, r"supervision edge \(ann, 10\)"),
        ({"split_time": 5.0}, r"edge \(bob, 20\) has time 9, newer"),
        ({"negatives": torch.tensor([[0, 1], [1, 0]])}, r"negative \(ann, 20\).*rate 0.5"),
    ],
)
def test_a_leak_names_the_edge(graph, options, match):
    with pytest.raises(LeakageError, match=match):
        audit_leakage(graph, **options)


def test_ids_that_none_could_be_found_by_are_refused() -> None:
    numbered = from_frame(pd.DataFrame({"user": [1, 1, 2], "item": [10, 20, 20]}))
    with pytest.raises(DataError, match="known by numbers, so that none would be found"):
        audit_leakage(numbered, held_out=["1", "2"])
    assert audit_leakage(numbered, held_out=np.array([7])).held_out_users == 1
    del numbered["user"].id_map
    with pytest.raises(DataError, match="known by numbers"):
        audit_leakage(numbered, held_out=["1"])


def test_ids_that_are_no_texts_are_refused(graph: HeteroData) -> None:
    with pytest.raises(DataError, match="known by texts"):
        audit_leakage(graph, held_out=[1])


def test_a_reverse_edge_alone_leaks(graph):
    del graph["user", "rates", "item"]
    with pytest.raises(LeakageError, match="supervision edge"):
        audit_leakage(graph, supervision=torch.tensor([[0], [0]]))


def test_support_must_not_meet_the_query(graph):
    edges = torch.tensor([[0], [1]])
    with pytest.raises(LeakageError, match=r"query edge \(ann, 20\)"):
        audit_leakage(graph, support=edges, query=edges)


def test_an_allowed_rate_is_reported(graph):
    negatives = torch.tensor([[0, 1], [1, 0]])
    report = audit_leakage(graph, negatives=negatives, max_false_negative_rate=0.5)
    assert report.false_negative_rate == 0.5


def test_a_split_passes_until_it_is_spoilt():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"user": rng.integers(0, 80, 3000), "item": rng.integers(0, 60, 3000)})
    split = split_cold_users(from_frame(frame))
    report = audit_split(split)
    assert report.held_out_users == len(split.validation) + len(split.test)
    assert report.support_edges == 10 * report.held_out_users
    spoilt = dataclasses.replace(split, validation=split.test)
    with pytest.raises(LeakageError, match="both a validation and a test user"):
        audit_split(spoilt)


def test_a_planted_graph_splits_cleanly(planted_graph):
    split = split_cold_users(planted_graph)
    assert audit_split(split).held_out_users == len(split.validation) + len(split.test) > 20
