from __future__ import annotations

import pytest
import torch
from torch_geometric.metrics import LinkPredHitRatio, LinkPredMRR, LinkPredNDCG, LinkPredRecall

from graphmeta.ranking import ranking_metrics


def test_by_hand() -> None:
    hits = torch.zeros(2, 20, dtype=torch.bool)
    hits[0, [1, 10]] = True  # ranks 2 and 11
    got = ranking_metrics(hits, torch.tensor([3, 1]))
    # 1 / log2(3) over 1 + 1 / log2(3) + 1 / log2(4).
    assert got["ndcg@10"].tolist() == pytest.approx([0.6309297536 / 2.1309297536, 0])
    assert got["recall@20"].tolist() == pytest.approx([2 / 3, 0])
    assert got["hit_rate@10"].tolist() == [1, 0]
    assert got["mrr@10"].tolist() == [0.5, 0]


def test_agrees_with_pyg_user_by_user() -> None:
    generator = torch.Generator().manual_seed(0)
    n_users, n_items = 200, 90
    best = torch.rand(n_users, n_items, generator=generator).argsort(1)[:, :20]
    n_query = torch.randint(1, 40, (n_users,), generator=generator)
    query = torch.rand(n_users, n_items, generator=generator).argsort(1)
    is_query = torch.zeros(n_users, n_items, dtype=torch.bool)
    is_query.scatter_(1, query, torch.arange(n_items) < n_query.unsqueeze(1))
    ours = ranking_metrics(is_query.gather(1, best), n_query)
    # PyG averages over users, so each user is a call of its own. Its recall divides by the
    # whole query; the two agree where the query has at most 20 items.
    theirs = {
        "ndcg@10": LinkPredNDCG(10),
        "recall@20": LinkPredRecall(20),
        "hit_rate@10": LinkPredHitRatio(10),
        "mrr@10": LinkPredMRR(10),
    }
    for user in range(n_users):
        items = is_query[user].nonzero().flatten()
        labels = torch.stack([torch.zeros_like(items), items])
        for name, metric in theirs.items():
            if name == "recall@20" and len(items) > 20:
                continue
            metric.reset()
            metric.update(best[user : user + 1], labels)
            assert float(ours[name][user]) == pytest.approx(float(metric.compute()), abs=1e-6)
