"""Users whose items come in pairs that nearly the same users have: accounts filled in together."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data.scipy_matrix import to_scipy
from graphmeta.errors import ConfigError


def collusion(graph: HeteroData, *, overlap: float = 0.7, least: int = 5) -> Tensor:
    """Return the share of each user's items that have a twin among the user's others.

    Two items are twins where the users who have one are nearly those who have the other:
    `|both| / |either|` (Jaccard's coefficient) is at least `overlap`. Little known items that the
    same accounts push are twins, whatever fillers hide them; of genuine items few are, such as the
    parts of a trilogy, and they are few among a user's. (Groups of attackers are found by what they
    have in common: Su, Zeng and Chen, WWW 2005.) It cannot see accounts that push a single item, or
    each another few of many, nor targets that many genuine users have.

    Costs as many numbers as there are pairs of items with a user in common.

    Args:
        graph: A training graph.
        overlap: Above 0, at most 1.
        least: Users without whom an item is no twin; 2 or more. Below a handful chance makes twins.

    Shapes:
        output: float32, `[n_users]`; from 0 to 1.

    Raises:
        ConfigError: A number is out of its range.
    """
    if not 0 < overlap <= 1 or least < 2:
        raise ConfigError(
            f"overlap={overlap} must be above 0 and at most 1, and least={least} at least 2"
        )
    matrix = to_scipy(graph)
    matrix = matrix[:, np.diff(matrix.tocsc().indptr) >= least]
    count = np.asarray(matrix.sum(0)).ravel()
    both = (matrix.T @ matrix).tocoo()
    either = count[both.row] + count[both.col] - both.data
    is_twin = (both.row != both.col) & (both.data >= overlap * either)
    pairs = (np.ones(int(is_twin.sum()), np.float32), (both.row[is_twin], both.col[is_twin]))
    twins = sp.csr_matrix(pairs, shape=both.shape)
    n_twins = (matrix @ twins).multiply(matrix)  # Of each item of a user's, among the user's.
    n_items = np.diff(to_scipy(graph).indptr)
    share = n_twins.astype(bool).sum(1).A1 / np.maximum(n_items, 1)
    return torch.from_numpy(share).float()
