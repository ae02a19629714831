"""The ratings of the training graph less the means of items and users."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data.bipartite_graph import FORWARD
from graphmeta.errors import DataError

# Passes that fit the biases of items and of users in turn.
PASSES = 5
# How many ratings at the mean a user's bias counts for.
USER_SHRINKAGE = 5.0
# How much the weights of features are held small, in ratings.
FEATURE_RIDGE = 10.0


class RatingMatrix:
    """Who rated what, as `mean + item_bias + user_bias + residual`.

    The bias of an item with n ratings is `n / (n + shrinkage)` of its mean beyond the rest, and for
    the other part what its features say where it has some: a ridge regression of the known items'.

    Args:
        train: A bipartite graph with ratings.
        shrinkage: How many ratings the features' word, or none, counts for.
        by_features: Whether features tell of items.

    Attributes:
        mean: The mean rating.

    Shapes:
        item_bias: float32, `[n_items]`.
        residual: sparse, `[n_users, n_items]`.

    Raises:
        DataError: The graph has no ratings.
    """

    def __init__(self, train: HeteroData, *, shrinkage: float, by_features: bool) -> None:
        store = train[FORWARD]
        if "rating" not in store or not store.rating.numel():
            raise DataError("the training graph has no ratings; name their column with rating=")
        user, item = store.edge_index.numpy()
        rating = store.rating.double().numpy()
        n_users, n_items = int(train["user"].num_nodes), int(train["item"].num_nodes)
        x = train["item"].x.double().numpy() if by_features and "x" in train["item"] else None
        n_by_user = np.bincount(user, minlength=n_users)
        n_by_item = np.bincount(item, minlength=n_items)
        self.mean = float(rating.mean())
        user_bias, item_bias = np.zeros(n_users), np.zeros(n_items)
        for _ in range(PASSES):
            beyond = np.bincount(item, rating - self.mean - user_bias[user], minlength=n_items)
            prior = 0.0 if x is None else x @ _regress(x, n_by_item, beyond)
            # An item without ratings, features or shrinkage is an average one.
            item_bias = (beyond + shrinkage * prior) / np.maximum(n_by_item + shrinkage, 1e-12)
            beyond = np.bincount(user, rating - self.mean - item_bias[item], minlength=n_users)
            user_bias = beyond / (n_by_user + USER_SHRINKAGE)
        left = rating - self.mean - item_bias[item] - user_bias[user]
        self.item_bias: Tensor = torch.from_numpy(item_bias).float()
        self.residual: sp.csr_matrix = sp.csr_matrix(
            (left.astype(np.float32), (user, item)), shape=(n_users, n_items)
        )


def _regress(x: np.ndarray, count: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Return the ridge regression of totals of `count` values each on `count` rows alike."""
    gram = x.T @ (count[:, None] * x)
    gram.flat[:: len(gram) + 1] += FEATURE_RIDGE
    weights: np.ndarray = np.linalg.solve(gram, x.T @ total)
    return weights
