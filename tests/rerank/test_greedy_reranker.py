"""What re-rankers share: profiles, lists of any length, items that may not be shown."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from graphmeta.data import IdMap, Support, bipartite_graph
from graphmeta.errors import ConfigError, DataError
from graphmeta.rerank import GreedyReranker, Reranker

# Item 3 is in no category.
CATEGORIES = torch.tensor([[1, 0], [1, 1], [0, 1], [0, 0]])
# Five interactions: two with item 0, one with each of the others.
GRAPH = bipartite_graph(
    torch.tensor([[0, 1, 0, 1, 2], [0, 0, 1, 2, 3]]),
    user_ids=IdMap(range(3)),
    item_ids=IdMap("abcd"),
)
NOBODY = Support(torch.empty(1, 0, dtype=torch.long))


class Second(GreedyReranker):
    """Prefers the second category."""

    def gain(self, profile: Tensor, held: Tensor, member: Tensor) -> Tensor:
        return member[:, :, 1]


def make(categories: Tensor = CATEGORIES, **options: Any) -> Second:
    given = {"strength": 0.5, "n_candidates": 4, "prior_weight": 2.0, **options}
    return Second(GRAPH, categories, **given)


def test_profiles_by_hand() -> None:
    reranker = make()
    assert isinstance(reranker, Reranker)
    assert reranker.prior.tolist() == pytest.approx([2.5 / 4, 1.5 / 4])
    shown = Support(torch.tensor([[2, 1, -1], [-1, -1, -1], [3, -1, -1]]))
    found = reranker.profile(shown)
    assert found[0].tolist() == pytest.approx([(0.5 + 5 / 4) / 4, (1.5 + 3 / 4) / 4])
    assert found[1].tolist() == found[2].tolist() == pytest.approx(reranker.prior.tolist())
    assert make(prior_weight=0).profile(shown)[1].tolist() == [0, 0]


def test_orders_by_hand() -> None:
    items = torch.tensor([[0, 3, 1, 2]])
    scores = torch.tensor([[0.8, 0.5, 0.4, 0.1]]).log()
    # Relevance 1, 5/8, 1/2 and 1/8, and gains 0, 0, 1/2 and 1.
    assert make(strength=0).order(items, scores, NOBODY, k=4).tolist() == [[0, 1, 2, 3]]
    assert make(strength=0.5).order(items, scores, NOBODY, k=4).tolist() == [[3, 0, 2, 1]]
    assert make(strength=1).order(items, scores, NOBODY, k=3).tolist() == [[3, 2, 0]]


def test_what_may_not_be_shown_comes_last() -> None:
    items = torch.tensor([[0, 3, 1, 2]])
    scores = torch.tensor([[1.0, 0.5, -torch.inf, -torch.inf]])
    assert make(strength=1).order(items, scores, NOBODY, k=4).tolist() == [[0, 1, 2, 3]]


def test_a_longer_list_begins_with_the_shorter_one_and_users_do_not_mix() -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.rand(5, 4, generator=generator).sort(1, descending=True).values
    items = torch.rand(5, 4, generator=generator).argsort(1)
    shown = Support(torch.randint(0, 4, (5, 2), generator=generator))
    whole = make().order(items, scores, shown, k=4)
    assert whole.sort(1).values.tolist() == [[0, 1, 2, 3]] * 5
    assert torch.equal(make().order(items, scores, shown, k=2), whole[:, :2])
    alone = [
        make().order(items[i : i + 1], scores[i : i + 1], shown[slice(i, i + 1)], k=4)
        for i in range(5)
    ]
    assert torch.equal(torch.cat(alone), whole)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strength": 1.2}, r"strength=1\.2 is outside 0\.\.1"),
        ({"n_candidates": 0}, "n_candidates=0 must be at least 1"),
        ({"prior_weight": -1.0}, r"prior_weight=-1\.0 must be a finite number"),
    ],
)
def test_bad_numbers(options: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make(**options)


@pytest.mark.parametrize(
    ("categories", "message"),
    [
        (torch.ones(3, 2), r"categories have shape \[3, 2\]; give a row for each of the graph's 4"),
        (torch.ones(4), r"categories have shape \[4\]"),
        (-torch.ones(4, 2), "categories are negative"),
        (torch.full((4, 2), torch.nan), "categories are negative, missing or infinite"),
        (torch.zeros(4, 2), "no interaction is with an item of a category"),
    ],
)
def test_bad_categories(categories: Tensor, message: str) -> None:
    with pytest.raises(DataError, match=message):
        make(categories)
