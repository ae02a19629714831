"""What MeLU, TaNP and MAMO share: protocol, content, seeds, bad input."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import HeteroData

from graphmeta.data import (
    ColdUsers,
    Support,
    from_frame,
    planted_interactions,
    split_cold_users,
)
from graphmeta.errors import ConfigError, DataError
from graphmeta.ranking import Scorer, evaluate
from graphmeta.ranking.baselines import Popularity, Random
from graphmeta.ranking.baselines.episodic_scorer import EpisodicScorer
from graphmeta.ranking.baselines.mamo import MAMO
from graphmeta.ranking.baselines.melu import MeLU
from graphmeta.ranking.baselines.tanp import TaNP

KINDS = (MeLU, TaNP, MAMO)
SMALL = {"channels": 4, "hidden_channels": 6, "num_epochs": 1}


@pytest.mark.parametrize("kind", KINDS)
def test_users_alone_in_a_batch_and_in_any_order(
    kind: type[EpisodicScorer], planted_graph: HeteroData
) -> None:
    model = kind(**SMALL).fit(planted_graph)
    batch = model.score(Support(torch.tensor([[3, 5, 9], [1, -1, -1], [-1, -1, -1]])))
    alone = model.score(Support(torch.tensor([[9, 3, 5, -1]])))
    torch.testing.assert_close(batch[0], alone[0], atol=1e-5, rtol=1e-4)
    assert not torch.allclose(batch[0], batch[1])
    # Nothing shown in a batch with others, in one without, and with no slot at all.
    for empty in (torch.tensor([[-1]]), torch.zeros(1, 0, dtype=torch.long)):
        torch.testing.assert_close(batch[2], model.score(Support(empty))[0], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_training_lowers_the_loss_and_is_repeatable(
    kind: type[EpisodicScorer], planted_graph: HeteroData
) -> None:
    support = Support(torch.tensor([[0, 1], [2, -1]]))
    options = {**SMALL, "num_epochs": 12}
    model, same, other = (kind(**options, seed=s).fit(planted_graph) for s in (0, 0, 1))
    assert len(model.losses) == 12
    assert model.losses[-1] < model.losses[0] - 0.02
    assert torch.equal(model.score(support), same.score(support))
    assert not torch.allclose(model.score(support), other.score(support))
    full = model.score(support)
    model.stop_at = 0.2
    assert not torch.allclose(model.score(support), full)


def figure(scorer: Scorer, users: ColdUsers) -> float:
    return float(evaluate(scorer, users, k=(5,)).per_user["ndcg@10"].mean())


@pytest.mark.parametrize("kind", KINDS)
def test_ranks_far_better_than_chance(kind: type[EpisodicScorer]) -> None:
    split = split_cold_users(from_frame(planted_interactions(400)), seed=0)
    model = kind(num_epochs=5).fit(split.train)
    assert figure(model, split.test) > 1.5 * figure(Random().fit(split.train), split.test)


def test_beats_popularity_where_taste_is_planted() -> None:
    # The others need three times as many epochs for it, or more.
    split = split_cold_users(from_frame(planted_interactions(400, skew=0.0)), seed=0)
    model = MAMO(num_epochs=30).fit(split.train)
    popular = Popularity().fit(split.train)
    assert figure(model, split.test) > 1.25 * figure(popular, split.test)


@pytest.mark.parametrize("kind", KINDS)
def test_features_of_user_and_item_count(
    kind: type[EpisodicScorer], planted_graph: HeteroData
) -> None:
    generator = torch.Generator().manual_seed(0)
    planted_graph["user"].x = torch.randn(200, 2, generator=generator)
    planted_graph["item"].x = torch.randn(100, 3, generator=generator)
    model = kind(**SMALL).fit(planted_graph)
    shown = torch.tensor([[4, 8], [4, 8], [-1, -1], [-1, -1]])
    x = torch.tensor([[9.0, 0.0], [0.0, 9.0], [9.0, 0.0], [0.0, 9.0]])
    scores = model.score(Support(shown, user_x=x))
    assert not torch.allclose(scores[0], scores[1])
    assert not torch.allclose(scores[2], scores[3])
    # Who has no features is the average user.
    average = model.score(Support(shown[:1], user_x=planted_graph["user"].x.mean(0, keepdim=True)))
    torch.testing.assert_close(average, model.score(Support(shown[:1])), atol=1e-5, rtol=1e-4)
    with pytest.raises(DataError, match="user_x has 1 features, the training users have 2"):
        model.score(Support(shown, user_x=x[:, :1]))


@pytest.mark.parametrize("kind", KINDS)
def test_bad_input(kind: type[EpisodicScorer], planted_graph: HeteroData) -> None:
    with pytest.raises(ConfigError, match="channels"):
        kind(channels=0)
    with pytest.raises(ConfigError, match="lr"):
        kind(lr=0.0)
    with pytest.raises(DataError, match=f"{kind.__name__} is not fitted"):
        kind().score(Support(torch.tensor([[0]])))
    with pytest.raises(DataError, match="100"):
        kind(**SMALL).fit(planted_graph).score(Support(torch.tensor([[100]])))
