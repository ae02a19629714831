"""Item-based nearest neighbours."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from graphmeta.data.cold_users import Support
from graphmeta.ranking.baselines.matrix_scorer import (
    MatrixScorer,
    check_at_least,
    rank_unscored_by_popularity,
)
from graphmeta.ranking.baselines.training_matrix import TrainingMatrix, keep_largest
from graphmeta.ranking.search_space import Axis, SearchSpace

# Rows of the similarity held densely at once: 2^26 float32 are 256 MiB.
DENSE_BLOCK = 2**26


class ItemKNN(MatrixScorer):
    """Sums the similarities of a user's items to every other item.

    With `c_ij` the users that items i and j share and `c_i` those of i, support item i speaks
    for item j with

        s_ij = c_ij / (c_i ** source_exponent * c_j ** target_exponent + shrinkage)

    where j is among the `neighbors` items most similar to i. Exponents of 0.5 and 0.5 are the
    cosine (Deshpande & Karypis, "Item-based top-N recommendation algorithms", TOIS 2004); others
    the asymmetric cosine (Aiolli, "Efficient top-n recommendation for very large scale binary
    rated datasets", RecSys 2013). At few shots a small target exponent is best. Items without a
    similar support item come last, by popularity.

    Fit-time: nothing. Score-time:

    Args:
        neighbors: Items that each support item speaks for.
        source_exponent: How much the popularity of the support item counts against it.
        target_exponent: How much the popularity of the scored item counts against it.
        shrinkage: Damps similarities that rest on few users.

    Raises:
        ConfigError: `neighbors` is below 1 or `shrinkage` below 0.
    """

    def __init__(
        self,
        *,
        neighbors: int = 500,
        source_exponent: float = 0.9,
        target_exponent: float = 0.1,
        shrinkage: float = 0.0,
    ) -> None:
        check_at_least(1, neighbors=neighbors)
        check_at_least(0, shrinkage=shrinkage)
        self.neighbors = neighbors
        self.source_exponent = source_exponent
        self.target_exponent = target_exponent
        self.shrinkage = shrinkage

    @classmethod
    def search_space(cls) -> SearchSpace:
        """Return the grid: all of it is score-time."""
        return SearchSpace(
            cls,
            score_time={
                "target_exponent": Axis((0.0, 0.1, 0.2, 0.3, 0.4, 0.5), extend="linear", start=0.1),
                "neighbors": Axis((125, 250, 500, 1000, 2000), extend="geometric"),
                "source_exponent": Axis((0.4, 0.6, 0.8, 1.0), extend="linear", start=0.8),
                "shrinkage": Axis((0.0, 1.0, 10.0, 100.0, 1000.0), extend="geometric", start=10.0),
            },
        )

    def _fit(self, matrix: TrainingMatrix) -> None:
        shared = (matrix.by_item @ matrix.by_user).tocsr()
        shared.setdiag(0)
        shared.eliminate_zeros()
        self._shared: sp.csr_matrix = shared

    def _score(self, matrix: TrainingMatrix, support: Support) -> Tensor:
        shown = matrix.support_matrix(support).tocsc()
        source = np.flatnonzero(np.diff(shown.indptr))
        scores = np.zeros((len(support), matrix.n_items), dtype=np.float32)
        size = max(1, DENSE_BLOCK // matrix.n_items)
        for start in range(0, len(source), size):
            block = source[start : start + size]
            scores += shown[:, block] @ self._similarity(matrix, block).numpy()
        return rank_unscored_by_popularity(torch.from_numpy(scores), matrix.log_popularity)

    def _similarity(self, matrix: TrainingMatrix, source: np.ndarray) -> Tensor:
        """Return the similarities of the given items to all; float32, `[len(source), n_items]`."""
        rows = self._shared[source]
        count = matrix.item_count
        of_source = count[torch.from_numpy(source)].pow(self.source_exponent)
        of_target = count.pow(self.target_exponent)
        shared = torch.from_numpy(rows.toarray())
        similarity = shared / (of_source[:, None] * of_target + self.shrinkage)
        return keep_largest(similarity, self.neighbors)
