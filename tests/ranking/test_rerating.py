"""Figures of an order of rated items."""

import itertools
import math

import pytest
import torch
from sklearn.metrics import ndcg_score

from graphmeta.data import from_frame, planted_interactions, split_rated_users
from graphmeta.errors import NonFiniteError
from graphmeta.ranking.baselines import ItemMean
from graphmeta.ranking.rerating import rerate, rerating_metrics


def test_ndcg_is_that_of_another_library_where_scores_differ() -> None:
    generator = torch.Generator().manual_seed(0)
    rating = torch.randint(1, 6, (50, 10), generator=generator).float()
    score = torch.rand(50, 10, generator=generator)
    found = rerating_metrics(score, rating)["ndcg@5"]
    for row in range(50):
        oracle = ndcg_score(rating[row : row + 1].numpy(), score[row : row + 1].numpy(), k=5)
        assert float(found[row]) == pytest.approx(oracle)


def test_the_scale_of_scores_is_nothing() -> None:
    generator = torch.Generator().manual_seed(0)
    rating = torch.randint(1, 6, (20, 10), generator=generator).float()
    score = torch.randn(20, 10, generator=generator)
    one, other = (rerating_metrics(s, rating) for s in (score, 10 * score - 3))
    for name in one:
        assert torch.equal(one[name], other[name])


def test_figures_are_means_over_the_ways_to_break_ties() -> None:
    rating, score = torch.tensor([[5.0, 4, 4, 4, 2, 1]]), torch.tensor([[1.0, 1, 2, 0, 2, 0]])
    discount = [1 / math.log2(rank + 1) for rank in range(1, 6)]
    totals = {"ndcg@5": 0.0, "better-half-ndcg@5": 0.0, "better-half-precision@5": 0.0}
    ways = 0
    for breaks in itertools.permutations(range(6)):
        # Ties of scores and of ratings are broken apart from one another.
        order = sorted(range(6), key=lambda i: (-score[0, i], breaks[i]))[:5]
        for half in ({0, 1, 2}, {0, 1, 3}, {0, 2, 3}):
            ways += 1
            gains = [float(rating[0, i]) for i in order]
            ideal = sum(g * d for g, d in zip([5, 4, 4, 4, 2], discount, strict=True))
            totals["ndcg@5"] += sum(g * d for g, d in zip(gains, discount, strict=True)) / ideal
            hits = [float(i in half) for i in order]
            best = sum(discount[:3])
            totals["better-half-ndcg@5"] += (
                sum(h * d for h, d in zip(hits, discount, strict=True)) / best
            )
            totals["better-half-precision@5"] += sum(hits) / 5
    found = rerating_metrics(score, rating)
    for name, total in totals.items():
        assert float(found[name]) == pytest.approx(total / ways)


def test_equal_scores_are_chance() -> None:
    rating = torch.randint(1, 6, (30, 10), generator=torch.Generator().manual_seed(0)).float()
    found = rerating_metrics(torch.zeros(30, 10), rating)
    for name in ("better-half-ndcg@5", "better-half-precision@5"):
        torch.testing.assert_close(found[name], torch.full((30,), 0.5, dtype=torch.float64))
    assert float(found["ndcg@5"].mean()) > 0.6  # Where all gains are above 0, chance is high.


def test_users_are_judged_by_their_own_items() -> None:
    split = split_rated_users(from_frame(planted_interactions(), rating="rating"))
    users = split.test["test"]
    model = ItemMean().fit(split.train)
    found = rerate(model, users)
    assert found["user"].tolist() == users.user_ids.ids.tolist()
    scores = model.score(users.support)
    one = rerating_metrics(scores[2:3, users.item_index[2]], users.rating[2:3])
    assert found["ndcg@5"][2] == pytest.approx(float(one["ndcg@5"]))
    assert found["better-half-ndcg@5"].mean() > 0.5


def test_scores_that_are_not_finite_are_refused() -> None:
    split = split_rated_users(from_frame(planted_interactions(), rating="rating"))
    model = ItemMean().fit(split.train)
    assert model._ratings is not None
    model._ratings.item_bias[:] = float("nan")
    with pytest.raises(NonFiniteError, match="ItemMean returns scores"):
        rerate(model, split.validation)
