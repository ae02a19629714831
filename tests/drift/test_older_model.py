"""A model left alone, and a user's state, in the rows of another catalogue."""

import pandas as pd
import pytest
import torch
from torch_geometric.data import HeteroData

from graphmeta.data import Support, from_frame, planted_interactions
from graphmeta.drift import OlderModel, carried_over
from graphmeta.errors import DataError
from graphmeta.ranking import ColdStartRecommender


def graph_of(frame: pd.DataFrame) -> HeteroData:
    return from_frame(frame, time="time")


@pytest.fixture(scope="module")
def old() -> ColdStartRecommender:
    graph = graph_of(planted_interactions())
    return ColdStartRecommender(channels=8, epochs=1, min_steps=1).fit(graph)


@pytest.fixture(scope="module")
def new(old: ColdStartRecommender) -> ColdStartRecommender:
    frame = planted_interactions()
    frame = frame[frame["item"] != "i5"]
    more = pd.DataFrame({"user": ["u0", "u1"], "item": "new", "time": 1e9})
    return old.refreshed(graph_of(pd.concat([more, frame])))


def test_new_items_come_last(old: ColdStartRecommender, new: ColdStartRecommender) -> None:
    ids = new.item_ids
    older = OlderModel(old, ids)
    shown = Support(ids.to_index(["new", "i1", "i9"]).unsqueeze(0))
    scores = older.score(shown)[0]
    expected = old.score(old.adapt(["i1", "i9"]).support)[0]
    known = [i for i in ids.ids if i != "new"]
    assert torch.equal(scores[ids.to_index(known)], expected[old.item_ids.to_index(known)])
    assert scores[ids.to_index(["new"])] < scores[ids.to_index(known)].min()
    assert older.fit(new.train_graph) is older


def test_a_support_of_new_items_alone_is_none(
    old: ColdStartRecommender, new: ColdStartRecommender
) -> None:
    ids = new.item_ids
    alone = OlderModel(old, ids).score(Support(ids.to_index(["new"]).unsqueeze(0)))
    nothing = OlderModel(old, ids).score(Support(torch.full((1, 0), -1)))
    assert torch.allclose(alone, nothing)


def test_a_state_goes_along_by_ids(old: ColdStartRecommender, new: ColdStartRecommender) -> None:
    state = old.adapt(["i1", "i5", "i9"], times=[1, 2, 3])
    carried = carried_over(state, old, new)
    expected = new.adapt(["i1", "i9"], times=[1, 3])
    assert new.recommend(carried) == new.recommend(expected)
    assert (carried.model, carried.source) == (expected.model, expected.source)
    assert torch.equal(carried.support.time, torch.tensor([[1.0, 3.0]], dtype=torch.float64))
    with pytest.raises(DataError, match="another model than `old`"):
        carried_over(carried, old, new)
