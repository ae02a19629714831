"""The recommender that the settings describe."""

from __future__ import annotations

import pytest

from graphmeta.data import from_frame, planted_interactions
from graphmeta.experiments.learner import build_recommender
from graphmeta.experiments.settings import ColdStartSettings
from graphmeta.meta import ANIL, MAML, MetaSGD, RidgeHead

GRAPH = from_frame(planted_interactions(40, 30, per_user=8))


@pytest.mark.parametrize(
    ("name", "kind"), [("maml", MAML), ("anil", ANIL), ("meta-sgd", MetaSGD), ("ridge", RidgeHead)]
)
def test_the_setting_names_the_learner_and_it_trains(name: str, kind: type) -> None:
    settings = ColdStartSettings(learner=name, channels=4, epochs=1, batch_size=16)
    model = build_recommender(settings, GRAPH, seed=0)
    assert type(model.learner) is kind
    model.fit(GRAPH)
    assert len(model.losses) == 1
    ids = GRAPH["item"].id_map.ids
    ranked = {
        scorer.recommend(ids[:3], k=20)[0][1] for scorer in (model.adapted(), model.unadapted())
    }
    assert len(ranked) == 2


def test_the_general_model_never_adapts() -> None:
    settings = ColdStartSettings(learner="ridge", channels=4)
    model = build_recommender(settings, GRAPH, seed=0, is_meta=False)
    assert model.learner is not None
    assert not model.learner.is_adaptive
