from __future__ import annotations

import math

import pytest
import torch
from torch_geometric.data import HeteroData

from graphmeta.data import Support, to_scipy
from graphmeta.ranking.baselines import RM1


def slow(x: torch.Tensor, items: list[int], rm1: RM1) -> torch.Tensor:
    share = x.sum(0) / x.sum()
    language = (x + rm1.mu * share) / (x.sum(1, keepdim=True) + rm1.mu)
    weight = torch.tensor(
        [
            float(x[v].sum()) ** rm1.length_exponent
            * math.prod(float(language[v, i]) for i in items) ** rm1.sharpness
            for v in range(len(x))
        ],
        dtype=torch.float64,
    )
    return (weight / weight.sum()) @ language


@pytest.mark.parametrize(
    "options",
    [{}, {"mu": 30.0, "length_exponent": 1.0}, {"mu": 1.0, "sharpness": 0.5}],
)
def test_equals_the_product_of_probabilities(
    planted_graph: HeteroData, options: dict[str, float]
) -> None:
    x = torch.from_numpy(to_scipy(planted_graph).toarray()).double()
    rm1 = RM1(**options).fit(planted_graph)
    items = [[3, 7, 11], [2, 50, 61]]
    scores = rm1.score(Support(torch.tensor(items)))
    expected = torch.stack([slow(x, row, rm1) for row in items]).float()
    torch.testing.assert_close(scores, expected, rtol=1e-3, atol=1e-7)
    torch.testing.assert_close(scores.sum(1), torch.ones(2))


def test_a_long_support_does_not_underflow(planted_graph: HeteroData) -> None:
    scores = RM1(mu=0.01).fit(planted_graph).score(Support(torch.arange(100)[None]))
    assert scores.isfinite().all()
    assert float(scores.sum()) == pytest.approx(1, rel=1e-4)
