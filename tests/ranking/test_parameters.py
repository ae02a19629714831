import json

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import ParameterGrid
from torch_geometric.data import HeteroData

from graphmeta.errors import ConfigError
from graphmeta.meta import relation_learner
from graphmeta.ranking import ColdStartRecommender


def test_params_are_what_the_constructor_got() -> None:
    without = ["product"]
    model = ColdStartRecommender(channels=8, without=without, device="cpu")
    params = model.get_params()
    assert params["channels"] == 8
    assert params["without"] is without
    assert params["learner"] is None
    assert ColdStartRecommender(**params).get_params() == params
    assert repr(model) == "ColdStartRecommender(channels=8, without=...)"


def test_numbers_of_numpy_become_plain_ones() -> None:
    model = ColdStartRecommender(channels=np.int64(8), num_neighbors=(np.int64(3), 2))
    model.set_params(lr=np.float32(0.5), seed=np.int64(3), without=[np.str_("prior")])
    params = clone(model).get_params()
    names = ("channels", "lr", "seed", "num_neighbors", "without")
    assert json.dumps({name: params[name] for name in names}) == (
        '{"channels": 8, "lr": 0.5, "seed": 3, "num_neighbors": [3, 2], "without": ["prior"]}'
    )


def test_sklearn_clones_and_sets(planted_graph: HeteroData) -> None:
    model = ColdStartRecommender(channels=8, epochs=0, min_steps=1).fit(planted_graph)
    copy = clone(model)
    assert copy.get_params() == model.get_params()
    assert (copy.gate, copy.losses) == ({}, [])
    with pytest.raises(ValueError, match="not fitted"):
        copy.recommend([])
    assert len(model.recommend([])) == 10
    widths = [clone(model).set_params(**p).channels for p in ParameterGrid({"channels": [4, 6]})]
    assert widths == [4, 6]


def test_a_clone_trains_another_learner(planted_graph: HeteroData) -> None:
    learner = relation_learner(planted_graph.metadata(), channels=8)
    model = ColdStartRecommender(learner, channels=8, epochs=1, min_steps=1)
    copy = clone(model).fit(planted_graph)
    before = learner.state_dict()
    fresh = relation_learner(planted_graph.metadata(), channels=8).state_dict()
    assert all(torch.equal(before[name], fresh[name]) for name in fresh)
    assert copy.learner is not learner


def test_bad_settings(planted_graph: HeteroData) -> None:
    model = ColdStartRecommender(channels=8, epochs=0).fit(planted_graph)
    with pytest.raises(ConfigError, match=r"'width' is no setting; known: .*channels"):
        model.set_params(width=3)
    with pytest.raises(ConfigError, match="epochs=-1"):
        model.set_params(epochs=-1)
    with pytest.raises(ValueError, match="not fitted"):
        model.set_params(channels=4).recommend([])
