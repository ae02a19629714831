"""How the long tail and users with niche taste are served, by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from graphmeta.data.cold_users import ColdUsers, Support
from graphmeta.data.id_map import IdMap
from graphmeta.ranking.tail_metrics import tail_metrics, tail_ndcg

# Items 0 and 1 hold 16 of 20 interactions, the other four the rest: the tail.
COUNT = torch.tensor([9, 7, 1, 1, 1, 1])


def make_users() -> ColdUsers:
    """Ann has one tail item in the query, Bob two, and Cat none."""
    first = Support(torch.tensor([[5], [0], [1]]))
    return ColdUsers(
        IdMap(["ann", "bob", "cat"]),
        first,
        torch.tensor([0, 2, 4, 5]),
        torch.tensor([0, 2, 3, 4, 0]),
        IdMap("abcdef"),
        COUNT,
        10,
    )


BEST = torch.tensor([[0, 2, 1, 3, 4], [3, 1, 2, 4, 5], [2, 3, 4, 5, 0]])
HITS = torch.tensor([[1, 1, 0, 0, 0], [1, 0, 0, 1, 0], [0, 0, 0, 0, 1]]).bool()


def test_by_hand() -> None:
    at = [1 / math.log2(rank + 1) for rank in range(1, 6)]
    per_user = tail_ndcg(BEST, HITS, make_users())
    assert per_user.tolist()[:2] == pytest.approx(
        [at[1] / at[0], (at[0] + at[3]) / (at[0] + at[1])]
    )
    assert math.isnan(per_user[2])
    got = tail_metrics(BEST, HITS, make_users())
    assert got["tail_ndcg@10"] == pytest.approx(float(per_user[:2].mean()))
    # Ann's first item is the least known one, Bob's the best known; Cat is in between.
    ann, bob = 1.0, (at[0] + at[3]) / (at[0] + at[1])
    assert got["niche_ndcg@10"] == pytest.approx(ann)
    assert got["mainstream_ndcg@10"] == pytest.approx(bob)
    assert got["taste_gap@10"] == pytest.approx(bob - ann)


def test_a_perfect_ranking_of_the_tail_alone_is_one() -> None:
    users = make_users()
    best = torch.tensor([[2, 3, 4, 5, 0], [3, 4, 2, 5, 1], [2, 3, 4, 5, 0]])
    hits = torch.tensor([[1, 0, 0, 0, 1], [1, 1, 0, 0, 0], [0, 0, 0, 0, 1]]).bool()
    assert tail_metrics(best, hits, users)["tail_ndcg@10"] == pytest.approx(1.0)


def test_without_a_tail_item_to_rank_there_is_no_figure() -> None:
    users = replace(make_users(), query_index=torch.tensor([0, 1, 0, 1, 0]))
    got = tail_metrics(BEST, HITS, users)
    assert math.isnan(got["tail_ndcg@10"])
    assert math.isfinite(got["taste_gap@10"])
