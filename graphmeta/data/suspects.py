"""Users who look like the work of one hand, and a graph without them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator, eigsh
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data.bipartite_graph import FORWARD
from graphmeta.data.same_catalogue import same_catalogue
from graphmeta.data.scipy_matrix import to_scipy
from graphmeta.errors import ConfigError, DataError

Array = np.ndarray[Any, np.dtype[Any]]


def suspicion(graph: HeteroData, *, rank: int = 1) -> Tensor:
    """Return how little the main taste of all users explains each user, from -1 to 0.

    PCA-VarSelect (Mehta and Nejdl, User Modeling and User-Adapted Interaction 2009): users are the
    variables of a principal component analysis over items, and those who weigh least in the first
    components are the suspects. It finds fakes who like any items, or those of one audience. Fakes
    who like what is popular share the main taste; and of three components, as the authors take,
    one belongs to the fakes where these are a tenth of the users or more.

    Args:
        graph: A training graph.
        rank: Components; 1 or more, fewer than users.

    Shapes:
        output: float32, `[n_users]`; less the sum of squared loadings, larger is more suspicious.

    Raises:
        ConfigError: `rank` is out of its range.
    """
    n_users, n_items = int(graph["user"].num_nodes), int(graph["item"].num_nodes)
    if not 1 <= rank < n_users:
        raise ConfigError(f"rank={rank} is outside 1..{n_users - 1}, below the number of users")
    matrix = to_scipy(graph).astype(np.float64)
    mean = np.diff(matrix.indptr) / n_items
    deviation = np.sqrt(mean * (1 - mean))
    scale = np.divide(1, deviation, out=np.zeros(n_users), where=deviation > 0)

    def correlate(vector: Array) -> Array:
        scaled = scale * vector.ravel()
        product = matrix @ (matrix.T @ scaled) / n_items - mean * (mean @ scaled)
        return np.asarray(scale * product)

    operator = LinearOperator((n_users, n_users), matvec=correlate, dtype=np.float64)
    _, loading = eigsh(operator, k=rank, which="LA", v0=np.ones(n_users))
    return -torch.from_numpy((loading**2).sum(1)).float()


def without_users(graph: HeteroData, users: Tensor) -> HeteroData:
    """Return the graph without some users; the items stay, also those that nobody is left to have.

    Args:
        graph: A training graph.
        users: True for those to leave out, such as `collusion(graph) > 0.1`.

    Shapes:
        users: bool, `[n_users]`.

    Raises:
        DataError: There is not one truth for each user, or nobody would be left.
    """
    n_users = int(graph["user"].num_nodes)
    if users.dtype != torch.bool or users.shape != (n_users,) or bool(users.all()):
        raise DataError(
            f"users of shape {list(users.shape)} and {users.dtype} must say True or False of each "
            f"of the {n_users} users, and leave one"
        )
    kept = (~users).nonzero().flatten()
    row = torch.full((n_users,), -1)
    row[kept] = torch.arange(len(kept))
    store = graph[FORWARD]
    edge = row[store.edge_index[0]] >= 0
    return same_catalogue(
        graph,
        torch.stack([row[store.edge_index[0, edge]], store.edge_index[1, edge]]),
        user_ids=graph["user"].id_map.select(kept),
        rating=store.rating[edge] if "rating" in store else None,
        time=store.time[edge] if "time" in store else None,
        user_x=graph["user"].x[kept] if "x" in graph["user"] else None,
    )
