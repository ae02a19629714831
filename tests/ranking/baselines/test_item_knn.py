from __future__ import annotations

import pytest
import torch
from torch_geometric.data import HeteroData

import graphmeta.ranking.baselines.item_knn as module
from graphmeta.data import IdMap, Support, bipartite_graph, to_scipy
from graphmeta.ranking.baselines import ItemKNN


def slow(x: torch.Tensor, items: list[int], knn: ItemKNN) -> list[float]:
    n_items = x.size(1)
    count = x.sum(0).tolist()
    scores = [0.0] * n_items
    for i in items:
        similarity = []
        for j in range(n_items):
            shared = 0.0 if i == j else float((x[:, i] * x[:, j]).sum())
            norm = count[i] ** knn.source_exponent * count[j] ** knn.target_exponent
            similarity.append(shared / (norm + knn.shrinkage))
        least = sorted(similarity, reverse=True)[: knn.neighbors][-1]
        for j in range(n_items):
            scores[j] += similarity[j] if similarity[j] >= least else 0
    return scores


def test_by_hand() -> None:
    # User 0 has items 0, 1; users 1 and 2 have 1, 2; user 3 has 3.
    edge = torch.tensor([[0, 0, 1, 1, 2, 2, 3], [0, 1, 1, 2, 1, 2, 3]])
    graph = bipartite_graph(edge, user_ids=IdMap(range(4)), item_ids=IdMap(range(4)))
    knn = ItemKNN(source_exponent=1.0, target_exponent=0.5, shrinkage=1.0).fit(graph)
    scores = knn.score(Support(torch.tensor([[1]])))[0]
    # Item 1 shares one user with item 0 and two with item 2; nobody joins it to item 3.
    assert scores[[0, 2]].tolist() == pytest.approx([1 / (3 * 1 + 1), 2 / (3 * 2**0.5 + 1)])
    assert scores[3] < 0


@pytest.mark.parametrize(
    "options",
    [
        {"neighbors": 100},
        {"neighbors": 8},
        {"neighbors": 8, "source_exponent": 0.5, "target_exponent": 0.5, "shrinkage": 10.0},
    ],
)
def test_equals_a_slow_loop(
    planted_graph: HeteroData, options: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "DENSE_BLOCK", 200)  # two rows of similarities at a time
    x = torch.from_numpy(to_scipy(planted_graph).toarray())
    knn = ItemKNN(**options).fit(planted_graph)  # type: ignore[arg-type]
    items = [[3, 7, 11], [2, 50, 61]]
    scores = knn.score(Support(torch.tensor(items)))
    expected = torch.tensor([slow(x, row, knn) for row in items])
    torch.testing.assert_close(scores.clamp(min=0), expected)
