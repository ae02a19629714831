"""A linear model whose item factors are read from the items' features."""

from __future__ import annotations

from typing import Self

import scipy.sparse as sp
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data.cold_users import Support
from graphmeta.data.spectrum import right_singular
from graphmeta.errors import DataError
from graphmeta.ranking.baselines.matrix_scorer import MatrixScorer, check_at_least, check_positive
from graphmeta.ranking.baselines.training_matrix import TrainingMatrix
from graphmeta.ranking.search_space import Axis, SearchSpace


class AttributeMap(MatrixScorer):
    """Maps features to factors by ridge regression, so that items without interactions have some.

    With U diag(s) V' the truncated singular value decomposition of the interactions divided by the
    square root of the item's count, known items' factors are `diag(s) V`. Those of all items are
    `[x, 1] W`, with

        W = argmin |[x, 1] W - factors|^2 + ridge |W|^2   over the known items

    and a user is the sum of the known factors of the support (Gantner et al., "Learning
    attribute-to-feature mappings for cold-start recommendations", ICDM 2010).

    Fit-time:

    Args:
        num_factors: Width of the factors.
        ridge: How much W is held small.

    Raises:
        ConfigError: `num_factors` is below 1 or `ridge` not positive.
    """

    def __init__(self, *, num_factors: int = 64, ridge: float = 10.0) -> None:
        check_at_least(1, num_factors=num_factors)
        check_positive(ridge=ridge)
        self.num_factors = num_factors
        self.ridge = ridge

    @classmethod
    def search_space(cls) -> SearchSpace:
        """Return the grid: all of it is fit-time."""
        return SearchSpace(
            cls,
            fit_time={
                "num_factors": Axis((16, 32, 64, 128), extend="geometric", start=64),
                "ridge": Axis((1.0, 10.0, 100.0), extend="geometric", start=10.0),
            },
        )

    def fit(self, train: HeteroData) -> Self:
        """Learn from the training graph.

        Raises:
            DataError: The graph has no edge, or its items no features.
        """
        if "x" not in train["item"]:
            raise DataError("AttributeMap needs item features; give them as x")
        self._x: Tensor = train["item"].x
        return super().fit(train)

    def _fit(self, matrix: TrainingMatrix) -> None:
        scale = matrix.item_count.clamp(min=1).pow(-0.5).numpy()
        scaled = sp.csr_matrix(matrix.by_user @ sp.diags(scale))
        width = min(self.num_factors, min(scaled.shape))
        value, vectors = right_singular(scaled, width)
        self._known = vectors * value
        is_known = matrix.item_count > 0
        x = torch.cat([self._x, torch.ones(len(self._x), 1)], dim=1).double()
        seen = x[is_known]
        gram = seen.T @ seen
        gram.diagonal().add_(self.ridge)
        weights = torch.linalg.solve(gram, seen.T @ self._known[is_known].double())
        self._mapped = (x @ weights).float()

    def _score(self, matrix: TrainingMatrix, support: Support) -> Tensor:
        user = torch.from_numpy(matrix.support_matrix(support) @ self._known.numpy())
        return user.float() @ self._mapped.T
