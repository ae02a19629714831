"""xQuAD against a plain loop, and what it does to lists."""

from __future__ import annotations

import math

import pytest
import torch

from graphmeta.data import IdMap, Support, bipartite_graph
from graphmeta.rerank import LongTailReranker

N_ITEMS = 12
# Item i was seen by 12 - i users: 78 interactions, of which items below item 6 hold 15.
COUNT = [N_ITEMS - i for i in range(N_ITEMS)]
EDGES = torch.tensor([[u, i] for i, n in enumerate(COUNT) for u in range(n)]).T
GRAPH = bipartite_graph(EDGES, user_ids=IdMap(range(N_ITEMS)), item_ids=IdMap(range(N_ITEMS)))
TAIL = set(range(6, N_ITEMS))


def by_hand(scores: list[float], items: list[int], shown: list[int], strength: float) -> list[int]:
    prior = sum(COUNT[i] for i in TAIL) / sum(COUNT)
    likes = (sum(i in TAIL for i in shown) + 10 * prior) / (len(shown) + 10)
    chosen: list[int] = []
    while len(chosen) < len(items):
        share = sum(items[c] in TAIL for c in chosen) / max(1, len(chosen))
        worth = {}
        for place, item in enumerate(items):
            relevance = math.exp(scores[place] - scores[0])
            tail = likes * (1 - share)
            rest = (1 - likes) * (share if chosen else 1)
            gain = tail if item in TAIL else rest
            worth[place] = (1 - strength) * relevance + strength * gain
        left = [place for place in worth if place not in chosen]
        chosen.append(max(left, key=lambda place: worth[place]))
    return chosen


@pytest.mark.parametrize("strength", [0.0, 0.3, 0.6, 0.9])
def test_against_a_plain_loop(strength: float) -> None:
    generator = torch.Generator().manual_seed(int(10 * strength))
    scores = torch.randn(6, N_ITEMS, generator=generator).sort(1, descending=True).values
    items = torch.rand(6, N_ITEMS, generator=generator).argsort(1)
    shown = torch.rand(6, N_ITEMS, generator=generator).argsort(1)[:, :3]
    reranker = LongTailReranker(GRAPH, strength=strength)
    found = reranker.order(items, scores, Support(shown), k=N_ITEMS).tolist()
    for user in range(6):
        row = [part[user].tolist() for part in (scores, items, shown)]
        assert found[user] == by_hand(*row, strength)


def test_who_likes_the_tail_gets_more_of_it() -> None:
    items = torch.arange(N_ITEMS).expand(2, -1)
    scores = -0.1 * torch.arange(N_ITEMS).expand(2, -1)
    shown = Support(torch.tensor([[0, 1, 2, 3, 4] * 2, [7, 8, 9, 10, 11] * 2]))
    order = LongTailReranker(GRAPH, strength=0.8).order(items, scores, shown, k=6)
    mainstream, niche = (sum(i in TAIL for i in row) for row in order.tolist())
    assert mainstream < niche
    assert mainstream >= 1
