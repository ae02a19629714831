"""Embeds the content of user and item, for models that judge a pair at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

import numpy as np
import scipy.sparse as sp
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data.bipartite_graph import FORWARD
from graphmeta.data.scipy_matrix import to_scipy
from graphmeta.data.spectrum import right_singular
from graphmeta.errors import ConfigError, DataError

Weights = Mapping[str, Tensor]
ItemStart = Literal["random", "spectral"]

# Root mean square of the initial item embeddings.
INITIAL_SCALE = 0.1


class PairContent:
    """Embeds users by their features, and items by their features and what is learnt of each.

    With `x` the features where the graph has them,

        p_u = b + W_u (x_u - mean of x)     p_i = V_i + W_i x_i

    W x of indicators is the sum of one embedding a feature, where the papers concatenate them.
    V_i is the item's own, as the sets here have few features; 0 of an item without interactions.
    Nothing of a user is known but the features; without them a user is the average one.

    V starts at noise, or "spectral": at the leading right singular vectors of the matrix
    normalised on both sides, so that items that share users start alike, as items of like
    content do in the papers' richer sets.

    Args:
        graph: The training graph.
        channels: Width of the embeddings.
        item_start: Where V starts.

    Raises:
        ConfigError: `item_start` is unknown.
    """

    def __init__(
        self, graph: HeteroData, *, channels: int, item_start: ItemStart = "random"
    ) -> None:
        check_item_start(item_start)
        self.channels = channels
        self.item_start = item_start
        self._n_items = int(graph["item"].num_nodes)
        count = graph[FORWARD].edge_index[1].bincount(minlength=self._n_items)
        self._is_known = count > 0
        self._item_x: Tensor | None = graph["item"].x if "x" in graph["item"] else None
        user_x = graph["user"].x if "x" in graph["user"] else None
        self._mean_x: Tensor | None = None if user_x is None else user_x.mean(0)
        self._spectrum = None
        if item_start == "spectral":
            self._spectrum = _item_spectrum(to_scipy(graph), channels)

    def initial(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Draw b, V and the maps W, which start at 0."""
        noise = torch.randn(1 + self._n_items, self.channels, generator=generator)
        user, item = noise[0], noise[1:]
        if self._spectrum is not None:
            item[:, : self._spectrum.size(1)] = self._spectrum
        item = item.where(self._is_known.unsqueeze(1), 0.0)
        weights = {"user": INITIAL_SCALE * user, "item": INITIAL_SCALE * item}
        if self._mean_x is not None:
            weights["user_x"] = torch.zeros(len(self._mean_x), self.channels)
        if self._item_x is not None:
            weights["item_x"] = torch.zeros(self._item_x.size(1), self.channels)
        return weights

    def users(self, weights: Weights, x: Tensor | None, n_users: int) -> Tensor:
        """Return the embeddings of users with features x, or of average ones.

        Shapes:
            x: float32, `[n_users, n_features]` or None.
            output: float32, `[n_users, channels]`.

        Raises:
            DataError: x has another number of features than the training users.
        """
        user = weights["user"].expand(n_users, -1)
        if self._mean_x is None or x is None:
            return user
        if x.size(1) != len(self._mean_x):
            raise DataError(
                f"user_x has {x.size(1)} features, the training users have {len(self._mean_x)}; "
                "give new users the same features"
            )
        return user + (x - self._mean_x) @ weights["user_x"]

    def items(self, weights: Weights, item_index: Tensor | None = None) -> Tensor:
        """Return the embeddings of items, of the whole catalogue where none is named.

        Shapes:
            item_index: int64, any shape, or None.
            output: float32, `[*item_index, channels]`.
        """
        table, x = weights["item"], self._item_x
        if item_index is not None:
            # Not `table[item_index]`: threads add up the gradient of that in any order.
            table = F.embedding(item_index, table)
            x = None if x is None else F.embedding(item_index, x)
        return table if x is None else table + x @ weights["item_x"]


def check_item_start(item_start: str) -> None:
    """Refuse starts that are not known.

    Raises:
        ConfigError: This one is not.
    """
    if item_start not in get_args(ItemStart):
        raise ConfigError(f"item_start={item_start!r} must be one of {get_args(ItemStart)}")


def _item_spectrum(by_user: sp.csr_matrix, rank: int) -> Tensor:
    """Return right singular vectors of unit mean square; `[n_items, r]`, r at most `rank`."""
    left, right = (
        sp.diags_array(np.asarray(by_user.sum(axis)).ravel().clip(min=1) ** -0.5) for axis in (1, 0)
    )
    _, vectors = right_singular(sp.csr_matrix(left @ by_user @ right), rank)
    return vectors / vectors.square().mean().sqrt().clamp(min=1e-12)
