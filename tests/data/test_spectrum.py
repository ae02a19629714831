from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from graphmeta.data.spectrum import _KEPT, MOST_KEPT, right_singular


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


def test_what_is_kept_is_of_the_same_matrix_and_rank_and_cannot_be_changed() -> None:
    rng = np.random.default_rng(0)
    one = sp.random(40, 30, density=0.2, format="csr", dtype=np.float32, random_state=rng)
    other = one.copy()
    other.data[0] += 1.0
    first = right_singular(one, 3)
    first[1].zero_()
    again = right_singular(one, 3)
    assert not torch.equal(again[1], first[1])
    torch.testing.assert_close(again[0], torch.from_numpy(np.linalg.svd(one.toarray())[1][:3]))
    assert not torch.allclose(right_singular(other, 3)[0], again[0])
    assert right_singular(one, 4)[0].shape == (4,)
    for rank in range(1, 8):
        right_singular(one, rank)
    assert len(_KEPT) == MOST_KEPT
