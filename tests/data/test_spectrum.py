from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from graphmeta.data.spectrum import right_singular


@pytest.mark.parametrize("shape", [(40, 25), (25, 40), (60, 90)])
@pytest.mark.parametrize("rank", [None, 3, 10])
def test_agrees_with_a_dense_decomposition(shape: tuple[int, int], rank: int | None) -> None:
    dense = (np.random.default_rng(0).random(shape) < 0.2).astype(np.float32)
    value, vector = right_singular(sp.csr_matrix(dense), rank)
    _, s, vt = np.linalg.svd(dense.astype(np.float64), full_matrices=False)
    kept = s > 1e-5 * s[0]
    n = len(value)
    assert n == (kept.sum() if rank is None else rank)
    np.testing.assert_allclose(value.numpy(), s[:n], rtol=1e-4)
    torch.testing.assert_close(vector.T @ vector, torch.eye(n), rtol=0, atol=1e-4)
    np.testing.assert_allclose(np.abs((vt[:n] @ vector.numpy()).diagonal()), 1, atol=1e-3)
    assert (vector.sum(0) >= 0).all()


def test_drops_directions_that_are_noise() -> None:
    same = sp.csr_matrix(np.ones((5, 7), dtype=np.float32))
    value, vector = right_singular(same, None)
    assert value.tolist() == pytest.approx([35**0.5])
    torch.testing.assert_close(vector, torch.full((7, 1), 7**-0.5))
