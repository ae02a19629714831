"""What of an episode lies near enough to its user to matter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from graphmeta.tasks.episode import RATES, REV_RATES, EdgeType


@dataclass(frozen=True)
class Reach:
    """The part of an episode within `distance` edges of the user.

    In an `EpisodeBatch` that is a prefix of each type's nodes: the user, from distance 1 on the
    support items, from 2 on all users, from 3 on everything; and of the edges that end there, the
    support edges first. A layer of message passing with `distance` layers after it has to embed
    no more. A dummy comes last, as in the whole episode, for edges that start or end elsewhere.
    (PyG's `trim_to_layer` cuts in the same way, by the sampler's hops.)

    Args:
        distance: How many edges away from the user.
        support_size: Slots of the support.
    """

    distance: int
    support_size: int

    @staticmethod
    def is_known(edge_types: Mapping[EdgeType, Tensor]) -> bool:
        """Return whether all edges are of the two types that the distances hold for."""
        return all(edge_type in (RATES, REV_RATES) for edge_type in edge_types)

    def nodes(self, x_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the nodes' rows, then the dummy's.

        Shapes:
            x_dict: `[n_nodes_of_type, c]`.
        """
        kept: dict[str, int | None] = {"user": None, "item": None}
        if self.distance < 2:
            kept["user"] = 1
        if self.distance < 3:
            kept["item"] = self.support_size if self.distance else 0
        return {t: _prefix(x, kept[t]) for t, x in x_dict.items()}

    def edges(self, edge_type: EdgeType) -> slice:
        """Return which edges end within reach."""
        nearest = 1 if edge_type == RATES else 2
        near = 0 if edge_type == RATES else self.support_size
        return slice(None if self.distance >= nearest else near)


def _prefix(x: Tensor, n: int | None) -> Tensor:
    return x if n is None else torch.cat([x[:n], x[-1:]])
