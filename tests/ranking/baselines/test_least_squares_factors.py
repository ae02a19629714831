from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch

import graphmeta.ranking.baselines.least_squares_factors as module
from graphmeta.ranking.baselines.least_squares_factors import FactorSolver


@pytest.mark.parametrize("block", [60, 2**20])
@pytest.mark.parametrize("has_prior", [False, True])
def test_each_row_solves_its_own_system(
    block: int, has_prior: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BLOCK", block)
    d, alpha = 8, 3.0
    random = np.random.default_rng(0)
    # Rows of every length, so that both ways of solving are taken; the first is empty.
    dense = (random.random((40, 30)) < np.linspace(0, 0.9, 40)[:, None]).astype(np.float32)
    factors = random.normal(size=(30, d)).astype(np.float32)
    reg = random.uniform(1, 5, 40).astype(np.float32)
    prior = random.normal(size=d).astype(np.float32) if has_prior else None
    solved = FactorSolver(torch.from_numpy(factors)).solve(
        sp.csr_matrix(dense),
        alpha=alpha,
        regularization=torch.from_numpy(reg),
        prior=None if prior is None else torch.from_numpy(prior),
    )
    for row in range(40):
        own = factors[dense[row] > 0]
        system = factors.T @ factors + alpha * own.T @ own + reg[row] * np.eye(d)
        right = (1 + alpha) * own.sum(0) + (0 if prior is None else reg[row] * prior)
        np.testing.assert_allclose(
            solved[row].numpy(), np.linalg.solve(system, right), rtol=1e-3, atol=1e-4
        )
