"""The protocol against a plain reference, and its canaries."""

from __future__ import annotations

import math
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


def oracle(users: ColdUsers) -> Tensor:
    scores = torch.zeros(N_ITEMS, N_ITEMS)
    for u in range(len(users)):
        scores[users.first.item_index[u, 0], users.query(u)] = 1.0
    return scores


def random_scores(seed: int = 1) -> Tensor:
    return torch.rand(N_ITEMS, N_ITEMS, generator=torch.Generator().manual_seed(seed))


def test_equals_a_plain_reference() -> None:
    users, scores = make_users(), random_scores()
    got = evaluate(Fixed(scores), users, k=(1,), batch_size=7)
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
    assert got["user"].tolist() == users.user_ids.ids.tolist()


def test_canaries() -> None:
    users = make_users()
    best = evaluate(Fixed(oracle(users)), users, k=(1, 2))
    assert best[METRICS[:3]].to_numpy().min() == pytest.approx(1.0, abs=1e-12)
    n_query = users.query_ptr.diff()
    discount = 1 / torch.arange(2, 12, dtype=torch.float64).log2()
    ideal = discount.cumsum(0)[n_query.clamp(max=10) - 1]
    chance = float((n_query / (N_ITEMS - K_MAX) * discount.sum() / ideal).mean())
    constant = [
        evaluate(Fixed(torch.zeros(N_ITEMS, N_ITEMS)), users, k=(1,), seed=s) for s in range(30)
    ]
    ndcg = pd.concat(constant)["ndcg@10"].mean()
    assert ndcg == pytest.approx(chance, abs=0.012)
    scores = random_scores()
    plain = evaluate(Fixed(scores), users, k=(1,))
    pd.testing.assert_frame_equal(plain, evaluate(Fixed(scores * 10 + 3), users, k=(1,)))
    reverse = evaluate(Fixed(-oracle(users)), users, k=(1,))
    assert reverse["ndcg@10"].mean() < chance / 4


def test_bad_input() -> None:
    users = make_users()
    with pytest.raises(ConfigError, match=r"k=3 is outside 0\.\.2"):
        evaluate(Fixed(random_scores()), users, k=(3,))
    with pytest.raises(ConfigError, match="k is empty"):
        evaluate(Fixed(random_scores()), users, k=())
    with pytest.raises(NonFiniteError, match="row 0 hold NaN or infinity"):
        evaluate(Fixed(torch.full((N_ITEMS, N_ITEMS), torch.nan)), users, k=(1,))
    with pytest.raises(DataError, match="no users"):
        evaluate(Fixed(random_scores()), users.select(torch.empty(0, dtype=torch.long)), k=(1,))
