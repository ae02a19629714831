from __future__ import annotations

import pytest
import torch
from torch_geometric.data import HeteroData

from graphmeta.data import IdMap, Support, bipartite_graph, to_scipy
from graphmeta.ranking.baselines import UserKNN


def slow(x: torch.Tensor, items: list[int], knn: UserKNN) -> torch.Tensor:
    similarity = []
    for row in x:
        shared = float(row[items].sum())
        norm = len(items) ** 0.5 * float(row.sum()) ** knn.norm_exponent
        similarity.append((shared / (norm + knn.shrinkage)) ** knn.power)
    least = sorted(similarity, reverse=True)[: knn.neighbors][-1]
    scores = torch.zeros(x.size(1))
    for row, weight in zip(x, similarity, strict=True):
        if weight >= least:
            scores += weight * row
    return scores


def test_by_hand() -> None:
    # User 0 has items 0, 1; user 1 has 0, 1, 2, 3; user 2 has 4.
    edge = torch.tensor([[0, 0, 1, 1, 1, 1, 2], [0, 1, 0, 1, 2, 3, 4]])
    graph = bipartite_graph(edge, user_ids=IdMap(range(3)), item_ids=IdMap(range(5)))
    knn = UserKNN(neighbors=3, norm_exponent=0.5, shrinkage=0.0, power=2.0).fit(graph)
    scores = knn.score(Support(torch.tensor([[0]])))[0]
    # Squared cosines 1/2 and 1/4, scaled to a largest of 1.
    assert scores[:4].tolist() == pytest.approx([1.5, 1.5, 0.5, 0.5])
    assert scores[4] < 0


@pytest.mark.parametrize(
    "options",
    [
        {"neighbors": 1000},
        {"neighbors": 9, "power": 1.0},
        {"neighbors": 20, "norm_exponent": 0.2, "shrinkage": 3.0, "power": 2.5},
    ],
)
def test_equals_a_slow_loop(planted_graph: HeteroData, options: dict[str, float]) -> None:
    x = torch.from_numpy(to_scipy(planted_graph).toarray())
    knn = UserKNN(**options).fit(planted_graph)  # type: ignore[arg-type]
    items = [[3, 7, 11], [2, 50, 61]]
    scores = knn.score(Support(torch.tensor(items))).clamp(min=0)
    expected = torch.stack([slow(x, row, knn) for row in items])
    # Scores are free up to a factor for each user.
    scale = expected.amax(1, keepdim=True) / scores.amax(1, keepdim=True)
    torch.testing.assert_close(scores * scale, expected)
