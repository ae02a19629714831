import numpy as np
import pytest
import torch
from torch_geometric.data import HeteroData

from graphmeta.errors import DataError, UnknownIdError
from graphmeta.export import scoring_inputs
from graphmeta.ranking import ColdStartRecommender


@pytest.fixture
def model(planted_graph: HeteroData) -> ColdStartRecommender:
    planted_graph["user"].x = torch.linspace(-1, 1, 200).view(-1, 1)
    fitted = ColdStartRecommender(channels=8, epochs=1, min_steps=1, num_voters=2)
    return fitted.fit(planted_graph)


def test_users_side_by_side(model: ColdStartRecommender) -> None:
    found = scoring_inputs(model, [["i1", "i5", "i9"], [], ["i2"]])
    rows = model.item_ids.to_index(["i1", "i5", "i9", "i2"]).tolist()
    assert found["support"].tolist() == [rows[:3], [-1] * 3, [rows[3], -1, -1]]
    assert found["node_index.item"][:, :3].tolist() == found["support"].tolist()
    assert np.isnan(found["user_x"]).all()
    assert (found["voters"][1] == -1).all()
    assert (found["voters"][0] >= 0).any()
    assert found["edge_attr.user__rates__item"].shape[2] == 4
    assert {len(x) for x in found.values()} == {3}
    # One item is too few to leave one out; three are not.
    shared = model.fitted.learner.encoder.get_parameter("layers.0.shift.item")
    shift = found["fast.layers.0.shift.item"]
    assert shift[1:] == pytest.approx(np.tile(shared.detach().numpy(), (2, 1)))
    assert np.abs(shift[0] - shift[1]).max() > 0


def test_the_gate_decides_for_each_user(model: ColdStartRecommender) -> None:
    histories = [["i1", "i5", "i9"], ["i2", "i3"]]
    gated = model.adapted()
    gated.fitted.gate.update({2: False, 3: True})
    names = [name for name in scoring_inputs(model, histories) if name.startswith("fast.")]
    on, off = (scoring_inputs(m, histories) for m in (model.adapted(), model.unadapted()))
    found = scoring_inputs(gated, histories)
    for name in names:
        assert (found[name][0] == on[name][0]).all()
        assert (found[name][1] == off[name][1]).all()


def test_no_item_at_all(model: ColdStartRecommender) -> None:
    found = scoring_inputs(model, [[]], user_x=torch.ones(1, 1))
    assert found["support"].tolist() == [[-1]]
    assert found["user_x"].tolist() == [[1]]


def test_bad_input(model: ColdStartRecommender) -> None:
    with pytest.raises(DataError, match="there is no user"):
        scoring_inputs(model, [])
    with pytest.raises(UnknownIdError, match="history"):
        scoring_inputs(model, [["no"]])
    assert scoring_inputs(model, [["no"]], on_unknown="drop")["support"].tolist() == [[-1]]
    with pytest.raises(DataError, match="2 lists of ratings or times for 1 users"):
        scoring_inputs(model, [["i1"]], times=[[1], [2]])
    with pytest.raises(DataError, match=r"user_x has shape \[1, 2\], but there are 1 users"):
        scoring_inputs(model, [["i1"]], user_x=torch.ones(1, 2))
    with pytest.raises(DataError, match="not fitted"):
        scoring_inputs(ColdStartRecommender(), [["i1"]])
