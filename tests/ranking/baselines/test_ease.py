from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch_geometric.data import HeteroData

from graphmeta.data import IdMap, Support, bipartite_graph, to_scipy
from graphmeta.ranking.baselines import EASE


def inverse(x: np.ndarray, ridge: float) -> np.ndarray:
    """The paper's item weights, by a plain inverse."""
    p = np.linalg.inv(x.T @ x + ridge * np.eye(x.shape[1]))
    b = -p / np.diag(p)
    np.fill_diagonal(b, 0)
    return b


@pytest.mark.parametrize("shape", [(60, 30), (30, 60)])
@pytest.mark.parametrize("ridge", [0.5, 100.0])
def test_equals_the_plain_inverse(shape: tuple[int, int], ridge: float) -> None:
    x = (np.random.default_rng(1).random(shape) < 0.2).astype(np.float64)
    x[0] = 1
    graph = bipartite_graph(
        torch.from_numpy(np.stack(x.nonzero())),
        user_ids=IdMap(range(shape[0])),
        item_ids=IdMap(range(shape[1])),
    )
    support = Support(torch.tensor([[3, 7, 11], [2, -1, -1]]))
    # The ridge is changed after the fit, as tuning does.
    scorer = copy.copy(EASE(ridge=1.0).fit(graph))
    scorer.ridge = ridge
    expected = support.to_dense(shape[1]).double().numpy() @ inverse(x, ridge)
    np.testing.assert_allclose(scorer.score(support).numpy(), expected, atol=2e-4)


def test_a_large_ridge_forgives_a_truncated_spectrum(planted_graph: HeteroData) -> None:
    support = Support(torch.tensor([[3, 7, 11], [2, 50, 61]]))
    x = to_scipy(planted_graph).toarray().astype(np.float64)
    expected = support.to_dense(100).double().numpy() @ inverse(x, 1e4)
    truncated = EASE(num_factors=30, ridge=1e4).fit(planted_graph).score(support)
    assert np.corrcoef(truncated.numpy().ravel(), expected.ravel())[0, 1] > 0.98
