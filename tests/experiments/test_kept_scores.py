"""Kept scores are those of the recommender, leaning and ordered anew."""

from __future__ import annotations

from dataclasses import replace

import torch

from graphmeta.data import from_frame, planted_interactions, split_cold_users
from graphmeta.experiments.kept_scores import KeptScores
from graphmeta.ranking import ColdStartRecommender, evaluate
from graphmeta.rerank import LongTailReranker


def test_they_are_the_recommender_s() -> None:
    split = split_cold_users(from_frame(planted_interactions(), time="time"), seed=0)
    model = ColdStartRecommender(channels=8, epochs=1, min_steps=1)
    model.fit(split.train, split.validation)
    kept, support = KeptScores(model), split.test.support(3)
    assert torch.equal(kept.score(support), model.score(support))
    leaning = replace(kept, niche=0.3)
    torch.testing.assert_close(leaning.score(support), model.with_niche(0.3).score(support))
    assert leaning.kept is kept.kept
    assert len(kept.kept) == 1
    reranker = LongTailReranker(split.train, strength=0.7)
    one, other = (
        evaluate(scorer, split.test, k=(3,)).rankings
        for scorer in (replace(kept, reranker=reranker), model.with_reranker(reranker))
    )
    assert one["item"].tolist() == other["item"].tolist()
