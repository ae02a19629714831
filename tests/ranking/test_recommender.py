"""The recommender in a user's hands."""

from __future__ import annotations

import pandas as pd
import pytest
import torch

from graphmeta.data import from_frame
from graphmeta.data.cold_users import Support
from graphmeta.encoders import RelationEncoder
from graphmeta.errors import ConfigError, DataError, EncoderError, UnknownIdError
from graphmeta.meta import MAML
from graphmeta.ranking.recommender import ColdStartRecommender
from graphmeta.ranking.scorer import Scorer


@pytest.fixture(scope="module")
def model() -> ColdStartRecommender:
    rows = [
        (f"u{u}", f"i{i}")
        for u in range(30)
        for i in range(16)
        if (u + i) % 2 == 0 and (u * 7 + i) % 5
    ]
    graph = from_frame(pd.DataFrame(rows, columns=["user", "item"]))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = RelationEncoder(graph.metadata(), out_channels=8, num_layers=2)
    learner = MAML(encoder, adapt=("layers.*.shift.*",), inner_steps=1)
    return ColdStartRecommender(learner, channels=8, epochs=15, batch_size=8, lr=0.02).fit(graph)


def test_recommends_the_users_group_less_the_history(model: ColdStartRecommender) -> None:
    ranked = model.recommend(["i0", "i2", "i0"], k=6)
    ids = [item for item, _ in ranked]
    assert set(ids) == {"i4", "i6", "i8", "i10", "i12", "i14"}
    scores = [score for _, score in ranked]
    assert scores == sorted(scores, reverse=True)


def test_empty_history_ranks_the_catalogue(model: ColdStartRecommender) -> None:
    assert len({item for item, _ in model.recommend([], k=16)}) == 16


def test_same_call_same_answer(model: ColdStartRecommender) -> None:
    assert isinstance(model, Scorer)
    assert model.recommend(["i1", "i3"]) == model.recommend(["i1", "i3"])


def test_scoring_leaves_the_weights_alone(model: ColdStartRecommender) -> None:
    before = {n: p.clone() for n, p in model.learner.named_parameters()}
    model.score(Support(torch.tensor([[0, 1, 2]])))
    assert all(torch.equal(before[n], p) for n, p in model.learner.named_parameters())


def test_bad_input(model: ColdStartRecommender) -> None:
    with pytest.raises(UnknownIdError, match=r"history: 1 of 1 ids are unknown \(first: 'x'\)"):
        model.recommend(["x"])
    with pytest.raises(ConfigError, match=r"k=16 is outside 1\.\.15"):
        model.recommend(["i0"], k=16)
    with pytest.raises(DataError, match="not fitted"):
        ColdStartRecommender(model.learner).recommend([])


def test_an_encoder_that_does_not_fit_is_told_why() -> None:
    graph = from_frame(pd.DataFrame({"user": [1, 1, 2, 2], "item": [1, 2, 1, 3]}))
    encoder = RelationEncoder(graph.metadata(), out_channels=8)
    with pytest.raises(EncoderError, match="input width must be the 16 channels"):
        ColdStartRecommender(MAML(encoder), channels=16, epochs=1).fit(graph)
    with pytest.raises(ConfigError, match=r"learner is a RelationEncoder; wrap the encoder"):
        ColdStartRecommender(encoder)  # type: ignore[arg-type]
