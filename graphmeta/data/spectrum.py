"""Singular values and right singular vectors of a sparse matrix."""

from __future__ import annotations

import hashlib
from collections import OrderedDict

import numpy as np
import scipy.sparse as sp
import torch
from scipy.sparse.linalg import svds
from torch import Tensor

# Directions whose share of the largest squared singular value is below this are numerical noise.
NEGLIGIBLE = 1e-10
# Lanczos iterations are the faster way to less than this part of the spectrum.
LANCZOS_GAIN = 5
# Spectra kept: tuning fits the same matrix with the same few ranks over and over.
MOST_KEPT = 4
LARGEST_KEPT = 2**26  # Numbers: 256 MiB.
_KEPT: OrderedDict[tuple[bytes, int | None], tuple[Tensor, Tensor]] = OrderedDict()


def right_singular(matrix: sp.csr_matrix, rank: int | None) -> tuple[Tensor, Tensor]:
    """Return the largest singular values and their right singular vectors, largest first.

    All or many come from the eigenvectors of the smaller of the two Gram matrices, in double
    precision; a small part of the spectrum from Lanczos iterations with a fixed start. Each
    vector's sign makes its sum positive. The latest few results are kept, as those of a thousand
    directions take a minute.

    Shapes:
        matrix: `[n_rows, n_columns]`.
        output: float32 `[r]` and `[n_columns, r]`, r at most `rank` and the numerical rank.
    """
    key = (_digest(matrix), rank)
    if key in _KEPT:
        _KEPT.move_to_end(key)
        value, vector = _KEPT[key]
        return value.clone(), vector.clone()
    value, vector = _right_singular(matrix, rank)
    if vector.numel() <= LARGEST_KEPT:
        _KEPT[key] = (value.clone(), vector.clone())
        if len(_KEPT) > MOST_KEPT:
            _KEPT.popitem(last=False)
    return value, vector


def first_right_singular(matrix: sp.csr_matrix) -> Tensor:
    """Return the first right singular vector of a nonnegative matrix, whose entries have one sign.

    (Perron-Frobenius.) Of users by items it is the items' popularity among active users: the best
    rank-1 model of the data (Cremonesi et al., RecSys 2010).

    Shapes:
        matrix: `[n_rows, n_columns]`.
        output: float32, `[n_columns]`, nonnegative.
    """
    return right_singular(matrix, 1)[1][:, 0].abs()


def _digest(matrix: sp.csr_matrix) -> bytes:
    digest = hashlib.sha256(str((matrix.shape, matrix.dtype)).encode())
    for part in (matrix.indptr, matrix.indices, matrix.data):
        digest.update(np.ascontiguousarray(part).data)
    return digest.digest()


def _right_singular(matrix: sp.csr_matrix, rank: int | None) -> tuple[Tensor, Tensor]:
    smaller = min(matrix.shape)
    if rank is None or rank * LANCZOS_GAIN >= smaller:
        value, vector = _from_gram(matrix, rank)
    else:
        start = np.ones(smaller, dtype=np.float32)
        _, s, vt = svds(matrix, k=rank, v0=start)
        value, vector = torch.from_numpy(s.copy()), torch.from_numpy(vt.copy()).T
        value, order = value.sort(descending=True)
        vector = vector[:, order]
    kept = value.square() > NEGLIGIBLE * value[0].square()
    value, vector = value[kept], vector[:, kept]
    sign = torch.where(vector.sum(0) < 0, -1.0, 1.0)
    return value.float(), (vector * sign).float().contiguous()


def _from_gram(matrix: sp.csr_matrix, rank: int | None) -> tuple[Tensor, Tensor]:
    is_wide = matrix.shape[0] < matrix.shape[1]
    gram = (matrix @ matrix.T) if is_wide else (matrix.T @ matrix)
    squared, vector = torch.linalg.eigh(torch.from_numpy(gram.toarray()).double())
    squared, vector = squared.flip(0)[:rank], vector.flip(1)[:, :rank]
    kept = squared > NEGLIGIBLE * squared[0]
    value, vector = squared[kept].sqrt(), vector[:, kept]
    if is_wide:
        vector = torch.from_numpy(matrix.T @ vector.numpy()) / value
    return value, vector
