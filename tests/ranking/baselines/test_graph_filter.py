from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch_geometric.data import HeteroData

from graphmeta.data import Support, to_scipy
from graphmeta.ranking.baselines import GraphFilter


@pytest.mark.parametrize(("user_exponent", "item_exponent"), [(0.5, 0.5), (0.25, -0.1)])
def test_equals_the_filter_written_out(
    planted_graph: HeteroData, user_exponent: float, item_exponent: float
) -> None:
    x = to_scipy(planted_graph).toarray().astype(np.float64)
    item_degree = x.sum(0)
    norm = x * x.sum(1, keepdims=True) ** -user_exponent * item_degree**-item_exponent
    vector = np.linalg.svd(norm)[2][:4].T
    support = Support(torch.tensor([[3, 7, 11], [2, 50, -1]]))
    shown = support.to_dense(100).double().numpy()
    step = shown @ norm.T @ norm
    low_pass = shown * item_degree**-item_exponent @ vector @ vector.T * item_degree**item_exponent

    def unit(rows: np.ndarray) -> np.ndarray:
        return rows / np.sqrt((rows**2).mean(1, keepdims=True))

    fitted = GraphFilter(
        user_exponent=user_exponent, item_exponent=item_exponent, max_factors=20
    ).fit(planted_graph)
    scorer = copy.copy(fitted)
    scorer.num_factors, scorer.low_pass_weight = 4, 0.3
    expected = unit(step) + 0.3 * unit(low_pass)
    np.testing.assert_allclose(scorer.score(support).numpy(), expected, rtol=1e-3, atol=1e-3)
    scorer.low_pass_weight = 0.0
    np.testing.assert_allclose(unit(scorer.score(support).numpy()), unit(step), rtol=1e-3)
