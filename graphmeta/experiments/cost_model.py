"""Costs as straight lines through what was measured, checked where they were not fitted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Line:
    """A cost of `fixed + per_million * millions of interactions`.

    Args:
        fixed: What it costs without any.
        per_million: What each further million costs.
    """

    fixed: float
    per_million: float

    @classmethod
    def through(cls, edges: Sequence[int], costs: Sequence[float]) -> Line:
        """Return the line of least squares of the relative errors.

        Args:
            edges: Numbers of interactions, two or more different ones.
            costs: What each cost; positive.
        """
        millions, cost = np.asarray(edges) / 1e6, np.asarray(costs, dtype=np.float64)
        table = np.stack([np.ones_like(millions), millions], axis=1) / cost[:, None]
        (fixed, per_million), *_ = np.linalg.lstsq(table, np.ones_like(cost))
        return cls(float(fixed), float(per_million))

    def at(self, edges: float) -> float:
        """Return the cost at a number of interactions."""
        return self.fixed + self.per_million * edges / 1e6
