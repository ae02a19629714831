"""Sums over users of what they say of items, to which one user adds 1 at most, and their noise."""

from __future__ import annotations

import math

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data.scipy_matrix import to_scipy
from graphmeta.errors import ConfigError
from graphmeta.privacy.accounting import Release

# A dense matrix of items: 1.6 GB in single precision.
MOST_ITEMS = 20_000
# The counts take a tenth of what is spent on both: their noise is three times that of the pairs.
COUNT_NOISE = 3.0


def item_releases(noise: float) -> tuple[Release, Release]:
    """Return the releases of counts and of pairs that tell together what one sum would.

    Args:
        noise: That of the one sum. Gaussian noises add up by their inverse squares.
    """
    pairs = noise * math.sqrt(1 + COUNT_NOISE**-2)
    return Release(COUNT_NOISE * pairs), Release(pairs)


def item_counts(graph: HeteroData) -> Tensor:
    """Return how well known items are, a user counting for 1 in all.

    The sum over users u of `x_u / |x_u|`, with x_u the binary row of the user: each term has the
    norm 1, which is what one user changes the sum by.

    Shapes:
        output: float32, `[n_items]`.
    """
    matrix = to_scipy(graph).astype(np.float64).tocsr()
    degree = np.maximum(np.diff(matrix.indptr), 1)
    return torch.from_numpy(matrix.T @ degree**-0.5).float()


def co_occurrence(graph: HeteroData, rows: Tensor, scale: Tensor) -> Tensor:
    """Return how often some items come together, a user counting for 1 in all.

    The sum over users u of `y_u y_u^T / |y_u|^2`, with y_u the binary row of the user, of these
    items, times their scale. Each term has the Frobenius norm 1, or 0, whatever the user did: so
    much does one user change the sum.

    Shapes:
        rows: int64, `[n]`; scale: float32, `[n]`, above 0.
        output: float32, `[n, n]`.

    Raises:
        ConfigError: There are more than 20,000 items.
    """
    if len(rows) > MOST_ITEMS:
        raise ConfigError(
            f"{len(rows)} items are too many for a matrix of item pairs, {MOST_ITEMS} are "
            "the most; pass items_share=0 to do without"
        )
    matrix = to_scipy(graph).astype(np.float64).tocsc()[:, rows.numpy()]
    matrix = (matrix @ sp.diags_array(scale.double().numpy())).tocsr()
    norm = sp.linalg.norm(matrix, axis=1)
    scaled = sp.diags_array(1 / np.where(norm > 0, norm, 1.0)) @ matrix
    return torch.from_numpy((scaled.T @ scaled).toarray()).float()


def noised(matrix: Tensor, noise: float, generator: torch.Generator) -> Tensor:
    """Return a symmetric matrix plus Gaussian noise (Analyze Gauss, Dwork et al., STOC 2014).

    The entries on and above the diagonal are what is released, those above it times the root of 2,
    so that a term of Frobenius norm 1 has the norm 1 there too.

    Args:
        matrix: A sum of terms of norm 1.
        noise: Standard deviation on the diagonal.
        generator: Draws the noise.
    """
    if not noise:
        return matrix
    drawn = torch.randn(matrix.shape, generator=generator) * noise
    upper = drawn.triu(1) * 2**-0.5
    return matrix + upper + upper.T + drawn.diagonal().diag()
