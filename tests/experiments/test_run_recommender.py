"""The recommender that the settings describe."""

from __future__ import annotations

import pytest

from graphmeta.data import from_frame, planted_interactions
from graphmeta.experiments.named_encoders import ENCODERS
from graphmeta.experiments.named_learners import LEARNERS
from graphmeta.experiments.run_recommender import build_recommender
from graphmeta.experiments.settings import ColdStartSettings

GRAPH = from_frame(planted_interactions(40, 30, per_user=8))


@pytest.mark.parametrize(
    ("learner", "encoder"),
    [*((name, "relation") for name in LEARNERS), *(("maml", name) for name in ENCODERS)],
)
def test_the_settings_name_learner_and_encoder_and_they_train(learner: str, encoder: str) -> None:
    settings = ColdStartSettings(
        learner=learner,
        encoder=encoder,
        channels=4,
        epochs=1,
        min_steps=1,
        batch_size=16,
        adapted_share=0.7,
    )
    model = build_recommender(settings, GRAPH, seed=0)
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
