from __future__ import annotations

import pytest
import torch
from torch_geometric.data import HeteroData

from graphmeta.data import IdMap, Support, bipartite_graph, to_scipy
from graphmeta.ranking.baselines import Popularity, RankOneSVD


def test_popularity_counts_users() -> None:
    edge = torch.tensor([[0, 0, 1, 1, 2], [0, 1, 1, 2, 1]])
    graph = bipartite_graph(edge, user_ids=IdMap(range(3)), item_ids=IdMap(range(3)))
    scores = Popularity().fit(graph).score(Support(torch.tensor([[0], [2]])))
    assert scores.expm1().flatten().tolist() == pytest.approx([1, 3, 1] * 2)


def test_rank_one_svd_is_the_first_singular_vector(planted_graph: HeteroData) -> None:
    scores = RankOneSVD().fit(planted_graph).score(Support(torch.tensor([[0], [2]])))
    first = torch.linalg.svd(torch.from_numpy(to_scipy(planted_graph).toarray())).Vh[0].abs()
    torch.testing.assert_close(scores, first.repeat(2, 1), rtol=1e-3, atol=1e-5)
