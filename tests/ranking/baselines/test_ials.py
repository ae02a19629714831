from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch_geometric.data import HeteroData

from graphmeta.data import Support, to_scipy
from graphmeta.ranking.baselines import IALS
from graphmeta.ranking.baselines.training_matrix import TrainingMatrix

ALPHA, REGULARIZATION = 5.0, 4.0
# implicit advises on the speed of BLAS, which is no matter here.
pytestmark = pytest.mark.filterwarnings("ignore:(OpenBLAS|Intel MKL BLAS) is configured")


def loss(x: np.ndarray, user: np.ndarray, item: np.ndarray) -> float:
    confidence = 1 + ALPHA * x
    squares = REGULARIZATION * ((user**2).sum() + (item**2).sum())
    return float((confidence * (x - user @ item.T) ** 2).sum() + squares)


def implicit_model(**options: Any) -> Any:
    from implicit.cpu.als import AlternatingLeastSquares

    return AlternatingLeastSquares(
        regularization=REGULARIZATION,
        alpha=1 + ALPHA,
        use_native=False,
        use_cg=False,
        num_threads=1,
        **options,
    )


@pytest.mark.parametrize("num_factors", [3, 16])
def test_folds_in_as_implicit_does(planted_graph: HeteroData, num_factors: int) -> None:
    ials = IALS(
        num_factors=num_factors,
        alpha=ALPHA,
        regularization=REGULARIZATION,
        fold_in_regularization=REGULARIZATION,
        fold_in_prior="zero",
    ).fit(planted_graph)
    support = Support(torch.tensor([[3, 7, 11], [2, 50, -1]]))
    model = implicit_model(factors=num_factors)
    model.item_factors = ials._item_factors.numpy()
    model.user_factors = np.zeros((2, num_factors), dtype=np.float32)
    shown = TrainingMatrix(planted_graph).support_matrix(support)
    theirs = model.recalculate_user(np.arange(2), shown) @ model.item_factors.T
    np.testing.assert_allclose(ials.score(support).numpy(), theirs, rtol=1e-3, atol=1e-4)


def test_converges_to_the_loss_of_implicit(planted_graph: HeteroData) -> None:
    x = to_scipy(planted_graph)
    dense = x.toarray().astype(np.float64)
    ials = IALS(num_factors=4, alpha=ALPHA, regularization=REGULARIZATION, sweeps=40)
    ials.fit(planted_graph)
    ials.fold_in_prior, ials.fold_in_regularization = "zero", REGULARIZATION
    item = ials._item_factors.double().numpy()
    gram = item.T @ item
    user = np.stack(
        [
            np.linalg.solve(
                gram + ALPHA * item[row > 0].T @ item[row > 0] + REGULARIZATION * np.eye(4),
                (1 + ALPHA) * item[row > 0].sum(0),
            )
            for row in dense
        ]
    )
    model = implicit_model(factors=4, iterations=40, random_state=0)
    model.fit(x, show_progress=False)
    theirs = loss(dense, model.user_factors, model.item_factors)
    assert loss(dense, user, item) == pytest.approx(theirs, rel=2e-3)


def test_a_strong_prior_ranks_everybody_as_the_mean_user(planted_graph: HeteroData) -> None:
    support = Support(torch.tensor([[3, 7, 11], [2, 50, 61]]))
    ials = IALS(regularization=1.0, fold_in_regularization=1e7).fit(planted_graph)
    scores = ials.score(support)
    torch.testing.assert_close(scores[0], scores[1], rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(
        scores[0], ials._user_mean @ ials._item_factors.T, rtol=1e-3, atol=1e-4
    )
    ials.fold_in_prior = "zero"
    assert ials.score(support).abs().max() < 1e-3


def test_frequent_users_are_held_back_more(planted_graph: HeteroData) -> None:
    matrix = TrainingMatrix(planted_graph)
    reg = IALS(regularization=2.0, frequency_exponent=1.0)._regularization_of(matrix.user_count)
    torch.testing.assert_close(reg, 2 * matrix.user_count / matrix.user_count.mean())
    even, held = (
        IALS(regularization=2.0, frequency_exponent=e).fit(planted_graph).score(
            Support(torch.tensor([[1, 2]]))
        )
        for e in (0.0, 1.0)
    )  # fmt: skip
    assert not torch.allclose(even, held, rtol=1e-3)
