"""Item embeddings from which items private users have together, under noise."""

from __future__ import annotations

import math

import numpy as np
import scipy.sparse as sp
import torch
from scipy.sparse.linalg import eigsh
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data.scipy_matrix import to_scipy
from graphmeta.errors import ConfigError

# A dense matrix of items: 1.6 GB in single precision.
MOST_ITEMS = 20_000
# Added to the degrees: little known items are mostly noise, and small degrees would blow it up.
SMOOTHING, PER_NOISE = 30.0, 20.0


def co_occurrence(graph: HeteroData) -> Tensor:
    """Return how often two items come together, a user counting for 1 in all.

    The sum over users u of `x_u x_u^T / d_u`, with x_u the binary row of the user and d_u the
    number of its items. Each term has the Frobenius norm 1, whatever the user did: so much does
    one user change the sum.

    Shapes:
        output: float32, `[n_items, n_items]`.

    Raises:
        ConfigError: There are more than 20,000 items.
    """
    matrix = to_scipy(graph).astype(np.float64)
    if matrix.shape[1] > MOST_ITEMS:
        raise ConfigError(
            f"{matrix.shape[1]} items are too many for a matrix of item pairs, {MOST_ITEMS} are "
            "the most; pass items_share=0 to do without"
        )
    degree = np.maximum(np.diff(matrix.tocsr().indptr), 1)
    scaled = sp.diags_array(degree**-0.5) @ matrix
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


def item_factors(
    together: Tensor, *, channels: int, noise: float, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Return where item embeddings start, as `ItemTable` starts from a graph's spectrum.

    With D the row sums, which are the items' degrees, V the leading eigenvectors of
    `D^-1/2 together D^-1/2`, those whose eigenvalues no noise alone has: `D^-1/2 V` and `D^1/2 V`,
    each scaled to unit mean square. Other channels start at small random numbers.

    Args:
        together: The co-occurrences, with their noise.
        channels: Width of the embeddings.
        noise: Standard deviation of the noise that `together` holds.
        seed: Draws the random numbers, and noise to compare with.

    Shapes:
        together: float32, `[n_items, n_items]`.
        output: float32, twice `[n_items, channels]`.
    """
    n_items = len(together)
    smoothing = SMOOTHING + PER_NOISE * noise * math.sqrt(2 * n_items)
    degree = together.sum(1).clamp(min=0) + smoothing
    root = degree.sqrt().unsqueeze(1)
    generator = torch.Generator().manual_seed(seed)
    value, vectors = _leading(together / root / root.T, min(channels, n_items - 1), generator)
    if noise:
        only_noise = noised(torch.zeros_like(together), noise, generator)
        edge = _leading(only_noise / root / root.T, 1, generator)[0][0]
        vectors = vectors[:, value > edge]
    missing = channels - vectors.size(1)
    others = 0.1 * torch.randn(n_items, missing, generator=generator) * n_items**-0.5
    vectors = torch.cat([vectors, others], dim=1)
    return _unit(vectors / root), _unit(vectors * root)


def _leading(matrix: Tensor, k: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return the k largest eigenvalues, descending, and their vectors as columns."""
    first = torch.randn(len(matrix), generator=generator).double().numpy()
    value, vectors = eigsh(matrix.double().numpy(), k=k, which="LA", v0=first)
    return torch.from_numpy(value[::-1].copy()), torch.from_numpy(vectors[:, ::-1].copy()).float()


def _unit(rows: Tensor) -> Tensor:
    return rows / rows.square().mean().sqrt().clamp(min=1e-12)
