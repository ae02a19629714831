"""Plain fine-tuning of a general model."""

from __future__ import annotations

import pytest
import torch

from graphmeta.data import ColdSplit, from_frame, planted_interactions, split_cold_users
from graphmeta.errors import DataError
from graphmeta.experiments.fine_tuned import FineTuned
from graphmeta.meta import MAML, relation_learner
from graphmeta.ranking import ColdStartRecommender
from graphmeta.ranking.tuning import tune


@pytest.fixture(scope="module")
def split() -> ColdSplit:
    return split_cold_users(from_frame(planted_interactions(160, 60, per_user=20)), seed=0)


@pytest.fixture(scope="module")
def general(split: ColdSplit) -> ColdStartRecommender:
    learner = relation_learner(
        split.train.metadata(), channels=8, wrap=lambda encoder: MAML(encoder, inner_steps=0)
    )
    return ColdStartRecommender(learner, channels=8, item_start="spectral", epochs=2).fit(
        split.train
    )


def test_no_step_is_the_general_model(split: ColdSplit, general: ColdStartRecommender) -> None:
    support = split.test.support(3)
    assert torch.equal(FineTuned(general, inner_lr=0.0).score(support), general.score(support))


def test_steps_raise_the_probability_of_what_was_shown(
    split: ColdSplit, general: ColdStartRecommender
) -> None:
    support = split.test.support(3)

    def shown(scorer: FineTuned | ColdStartRecommender) -> float:
        share = scorer.score(support).log_softmax(1).gather(1, support.item_index)
        return float(share.mean())

    before = {n: p.clone() for n, p in general.learner.named_parameters()}
    one, many = (shown(FineTuned(general, inner_steps=n, inner_lr=0.3)) for n in (1, 8))
    assert shown(general) < one < many
    assert all(torch.equal(before[n], p) for n, p in general.learner.named_parameters())


def test_a_user_with_one_edge_is_fine_tuned_too(
    split: ColdSplit, general: ColdStartRecommender
) -> None:
    support = split.test.support(1)
    tuned = FineTuned(general, inner_lr=1.0).score(support)
    assert not torch.allclose(tuned, general.score(support))
    nothing = split.test.support(0)
    assert torch.equal(FineTuned(general, inner_lr=1.0).score(nothing), general.score(nothing))


def test_a_user_whose_steps_diverge_keeps_the_general_weights(
    split: ColdSplit, general: ColdStartRecommender
) -> None:
    support = split.test.support(3)
    wild = FineTuned(general, inner_lr=1e30, inner_steps=4).score(support)
    assert bool(wild.isfinite().all())
    is_general = (wild == general.score(support)).all(1)
    assert bool(is_general.any())


def test_each_support_size_gets_its_own_steps(
    split: ColdSplit, general: ColdStartRecommender
) -> None:
    space = FineTuned.search_space(general)
    tuned = tune(space, split.train, split.validation, k=(0, 3))
    assert {"inner_lr", "inner_steps", "at_edge"} <= set(tuned.report)
    assert tuned.score(split.test.support(3)).shape == (len(split.test), 60)


def test_an_unfitted_model_is_refused(split: ColdSplit) -> None:
    with pytest.raises(DataError, match="the recommender is not fitted"):
        FineTuned(ColdStartRecommender()).score(split.test.support(1))
