"""Calibration against a plain loop, on any categories and on the popularity's."""

from __future__ import annotations

import math

import pytest
import torch

from graphmeta.data import IdMap, Support, bipartite_graph
from graphmeta.ranking.long_tail import popularity_groups
from graphmeta.rerank import CalibratedReranker

N_ITEMS = 10
COUNT = torch.tensor([9, 7, 6, 5, 4, 3, 2, 2, 1, 1])
EDGES = torch.tensor([[u, i] for i, n in enumerate(COUNT.tolist()) for u in range(n)]).T
GRAPH = bipartite_graph(EDGES, user_ids=IdMap(range(9)), item_ids=IdMap(range(N_ITEMS)))
GENRES = torch.tensor([[i % 2, i % 3 == 0, i % 5 == 1] for i in range(N_ITEMS)]).float()


def divergence(wanted: list[float], held: list[list[float]]) -> float:
    """KL of the list's mix, a hundredth of what is wanted mixed in."""
    total = [sum(column) for column in zip(*held, strict=True)]
    mix = [t / sum(total) if sum(total) else 0.0 for t in total]
    return sum(
        p * math.log(p / (0.99 * q + 0.01 * p)) for p, q in zip(wanted, mix, strict=True) if p
    )


@pytest.mark.parametrize("strength", [0.05, 0.3, 0.7])
def test_against_a_plain_loop(strength: float) -> None:
    generator = torch.Generator().manual_seed(3)
    scores = torch.randn(5, N_ITEMS, generator=generator).sort(1, descending=True).values
    items = torch.rand(5, N_ITEMS, generator=generator).argsort(1)
    shown = torch.rand(5, N_ITEMS, generator=generator).argsort(1)[:, :2]
    reranker = CalibratedReranker(GRAPH, GENRES, strength=strength, prior_weight=3)
    found = reranker.order(items, scores, Support(shown), k=6).tolist()
    share = (GENRES / GENRES.sum(1, keepdim=True).clamp(min=1)).double()
    held = (share * COUNT.unsqueeze(1)).sum(0)
    prior = held / held.sum()
    for user in range(5):
        own = share[shown[user]].sum(0)
        wanted = ((own + 3 * prior) / (own.sum() + 3)).tolist()
        chosen: list[int] = []
        for _ in range(6):
            worth = {
                place: (1 - strength) * math.exp(scores[user, place] - scores[user, 0])
                - strength
                * divergence(wanted, [share[items[user, p]].tolist() for p in (*chosen, place)])
                for place in range(N_ITEMS)
                if place not in chosen
            }
            chosen.append(max(worth, key=lambda place: worth[place]))
        assert found[user] == chosen


def test_by_default_the_groups_are_those_of_the_popularity() -> None:
    reranker = CalibratedReranker(GRAPH, strength=0.5)
    assert torch.equal(reranker.categories, popularity_groups(COUNT))
    items, scores = torch.arange(N_ITEMS).unsqueeze(0), torch.zeros(1, N_ITEMS)
    # All alike in relevance: a list in the mix that the user likes, here all of the tail.
    tail = popularity_groups(COUNT)[:, 2].nonzero().flatten()
    fan = Support(tail.repeat(30).unsqueeze(0))
    order = reranker.order(items, scores, fan, k=3)[0]
    assert set(order.tolist()) <= set(tail.tolist())


def test_permuting_categories_changes_nothing() -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(4, N_ITEMS, generator=generator).sort(1, descending=True).values
    items = torch.rand(4, N_ITEMS, generator=generator).argsort(1)
    shown = Support(torch.tensor([[0], [1], [2], [3]]))
    one, other = (
        CalibratedReranker(GRAPH, genres, strength=0.4).order(items, scores, shown, k=5)
        for genres in (GENRES, GENRES[:, [2, 0, 1]])
    )
    assert torch.equal(one, other)
