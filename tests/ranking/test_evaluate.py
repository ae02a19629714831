"""The protocol against a plain reference."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Self

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data.cold_users import ColdUsers, Support
from graphmeta.data.id_map import IdMap
from graphmeta.errors import ConfigError, DataError, NonFiniteError
from graphmeta.ranking import evaluate

N_ITEMS, K_MAX = 60, 2
METRICS = ["ndcg@10", "recall@20", "hit_rate@10", "mrr@10"]


class Fixed:
    """Scores each user, told apart by the first item, with a given row."""

    def __init__(self, scores: Tensor) -> None:
        self.scores = scores

    def fit(self, train: HeteroData) -> Self:
        return self

    def score(self, support: Support) -> Tensor:
        return self.scores[support.item_index[:, 0]]


def make_users(n_users: int = 30) -> ColdUsers:
    rng = np.random.default_rng(0)
    first = torch.arange(n_users * K_MAX).view(n_users, K_MAX) % N_ITEMS
    query = []
    for row in first.tolist():
        rest = [i for i in range(N_ITEMS) if i not in row]
        query.append(torch.from_numpy(rng.choice(rest, rng.integers(1, 30), replace=False)))
    count = torch.tensor([0] + [len(q) for q in query])
    ids = IdMap([f"u{u}" for u in range(n_users)])
    items, known = IdMap(f"i{i}" for i in range(N_ITEMS)), torch.arange(1, N_ITEMS + 1)
    return ColdUsers(
        ids, Support(first), count.cumsum(0), torch.cat(query), items, known, 2 * N_ITEMS
    )


def make_small() -> ColdUsers:
    first, ptr = Support(torch.tensor([[0, 1]])), torch.tensor([0, 2])
    ids, items = IdMap(["ann"]), IdMap("abcdef")
    return ColdUsers(ids, first, ptr, torch.tensor([2, 5]), items, torch.ones(6).long(), 6)


def random_scores(seed: int = 1) -> Tensor:
    return torch.rand(N_ITEMS, N_ITEMS, generator=torch.Generator().manual_seed(seed))


def test_equals_a_plain_reference() -> None:
    users, scores = make_users(), random_scores()
    report = evaluate(Fixed(scores), users, k=(1,), batch_size=7)
    got = report.per_user
    rankings = report.rankings.set_index(["user", "rank"])
    for u in range(len(users)):
        shown, query = users.first.item_index[u].tolist(), set(users.query(u).tolist())
        row = scores[shown[0]].tolist()
        ranked = sorted((i for i in range(N_ITEMS) if i not in shown), key=lambda i: -row[i])
        hits = [i in query for i in ranked[:20]]
        ideal = sum(1 / math.log2(r + 2) for r in range(min(10, len(query))))
        wanted = [
            sum(h / math.log2(r + 2) for r, h in enumerate(hits[:10])) / ideal,
            sum(hits) / min(20, len(query)),
            float(any(hits[:10])),
            max(h / (r + 1) for r, h in enumerate(hits[:10])),
        ]
        assert got.loc[u, METRICS].tolist() == pytest.approx(wanted)
        table = rankings.loc[f"u{u}"]
        assert table.index.tolist() == list(range(1, 21))
        assert table["item"].tolist() == [f"i{i}" for i in ranked[:20]]
        assert table["score"].tolist() == [row[i] for i in ranked[:20]]
    assert got["user"].tolist() == users.user_ids.ids.tolist()


def test_each_support_size_is_ranked_and_measured() -> None:
    users = make_users()
    report = evaluate(Fixed(random_scores()), users, k=(2, 1), batch_size=7)
    assert list(report.per_user) == ["user", "k", *METRICS]
    assert report.per_user.groupby("k")["user"].nunique().to_dict() == {1: 30, 2: 30}
    assert list(report.rankings) == ["user", "k", "rank", "item", "score"]
    assert len(report.rankings) == 30 * 2 * 20
    assert report.catalogue["k"].tolist() == [2, 1]
    top = report.rankings.query("k == 1 and rank <= 10")["item"]
    known = top.str[1:].astype(int) + 1  # make_users: item i is known to i + 1 training users
    row = report.catalogue.set_index("k").loc[1]
    assert row["coverage@10"] == top.nunique() / N_ITEMS
    assert row["popularity@10"] == pytest.approx(known.mean() / (2 * N_ITEMS))
    # The 27 least known items, with 378 of all 1830 interactions, are the long tail.
    assert row["tail_share@10"] == pytest.approx((known <= 27).mean())
    assert 0 < row["tail_ndcg@10"] < 1
    gap = row["mainstream_ndcg@10"] - row["niche_ndcg@10"]
    assert row["taste_gap@10"] == pytest.approx(gap)


def test_permuting_items_permutes_the_rankings() -> None:
    users, scores = make_users(), random_scores()
    order = torch.randperm(N_ITEMS, generator=torch.Generator().manual_seed(5))
    place = order.argsort()
    moved = replace(
        users,
        first=Support(place[users.first.item_index]),
        query_index=place[users.query_index],
        item_ids=users.item_ids.select(order),
        item_count=users.item_count[order],
    )
    plain = evaluate(Fixed(scores), users, k=(1,))
    other = evaluate(Fixed(scores[order][:, order]), moved, k=(1,))
    pd.testing.assert_frame_equal(plain.per_user, other.per_user)
    pd.testing.assert_frame_equal(plain.rankings, other.rankings)
    pd.testing.assert_frame_equal(plain.catalogue, other.catalogue)


def test_same_seed_same_result() -> None:
    users, flat = make_users(), Fixed(torch.zeros(N_ITEMS, N_ITEMS))
    first = evaluate(flat, users, k=(1,), seed=3).rankings
    pd.testing.assert_frame_equal(first, evaluate(flat, users, k=(1,), seed=3).rankings)
    assert not first["item"].equals(evaluate(flat, users, k=(1,), seed=4).rankings["item"])


def test_a_small_catalogue_gives_shorter_rankings() -> None:
    users = make_small()
    report = evaluate(Fixed(torch.arange(6.0).expand(6, 6)), users, k=(1,))
    assert report.rankings["item"].tolist() == ["f", "e", "d", "c"]
    assert report.per_user["recall@20"].tolist() == [1.0]


def test_bad_input() -> None:
    users = make_users()
    with pytest.raises(ConfigError, match=r"k=3 is outside 0\.\.2"):
        evaluate(Fixed(random_scores()), users, k=(3,))
    with pytest.raises(ConfigError, match="k is empty"):
        evaluate(Fixed(random_scores()), users, k=())
    with pytest.raises(ConfigError, match="twice"):
        evaluate(Fixed(random_scores()), users, k=(1, 1))
    with pytest.raises(DataError, match=r"Fixed returned scores of shape \[30, 7\]; .*\[30, 60\]"):
        evaluate(Fixed(torch.zeros(N_ITEMS, 7)), users, k=(1,))
    with pytest.raises(NonFiniteError, match="row 0 hold NaN or infinity"):
        evaluate(Fixed(torch.full((N_ITEMS, N_ITEMS), torch.nan)), users, k=(1,))
    with pytest.raises(DataError, match="no users"):
        evaluate(Fixed(random_scores()), users.select(torch.empty(0, dtype=torch.long)), k=(1,))
