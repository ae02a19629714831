"""What every method, ours or a baseline, offers to evaluation."""

from __future__ import annotations

from typing import Protocol, Self, runtime_checkable

from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data.cold_users import Support


@runtime_checkable
class Scorer(Protocol):
    """Scores the whole catalogue for users known only by a few interactions."""

    def fit(self, train: HeteroData) -> Self:
        """Learn from the training graph; held-out users are not in it."""
        ...

    def score(self, support: Support) -> Tensor:
        """Return one score per user and catalogue item, larger is better.

        Shapes:
            output: float32, `[n_users, n_items]`. Support items need not be masked:
            ranking leaves them out.
        """
        ...
