"""A linear model meta-trained in closed form for supports of k items."""

from __future__ import annotations

import torch
from torch import Tensor

from graphmeta.data.cold_users import Support
from graphmeta.ranking.baselines.few_shot_moments import FewShotMoments
from graphmeta.ranking.baselines.matrix_scorer import MatrixScorer, check_at_least, check_positive
from graphmeta.ranking.baselines.training_matrix import TrainingMatrix
from graphmeta.ranking.search_space import Axis, SearchSpace

# Moments of several k are kept while their dense matrices hold fewer numbers than this.
KEPT_FLOATS = 2**27


class FewShotLinear(MatrixScorer):
    """Ridge regression from k items of a user, plus a bias, to the user's other items.

    Over training users u with `n_u > k` items, weights `w_u = (n_u - k) ** -weight_exponent` and
    supports of k items drawn uniformly, the expected moments of the inputs `z = (1, support)` and
    of inputs with targets are, for items `i != j`,

        A_ij = sum_u w_u k (k-1) / (n_u (n_u-1)) x_ui x_uj     A_ii = sum_u w_u k / n_u x_ui
        B_ij = sum_u w_u k (n_u-k) / (n_u (n_u-1)) x_ui x_uj   B_ii = 0
        A_00 = sum_u w_u     A_0i = A_ii     B_0j = sum_u w_u (n_u-k) / n_u x_uj

    and the scores are `z (A + ridge mean(A_ii) I)^-1 B` with the bias left free of the ridge:
    what meta-training a linear model on all episodes would converge to. With `first_in_time` a
    user's only support is the first k items, and the moments are plain sums. It is EASE (Steck, WWW
    2019) with the moments of the few-shot task in place of the Gram matrix.

    Neither inverse nor B is formed: a batch of users is solved for, by a Cholesky factor of A, or
    by the Woodbury identity of a matrix with a row per user where users are fewer than items.
    Only the `max_inputs` most popular items are inputs, which bounds the factor to
    `max_inputs ** 2` floats; a support item beyond them is not heard. All items are scored.

    Fit-time:

    Args:
        weight_exponent: How much a long history counts against a training user.
        max_inputs: Most items that are inputs.

        ridge: Score-time; the regularisation, relative to the mean diagonal.
        first_in_time: Score-time; learn from users' first items where there are times.

    Raises:
        ConfigError: `ridge` is not above 0 or `max_inputs` is below 1.
    """

    def __init__(
        self,
        *,
        weight_exponent: float = 0.5,
        max_inputs: int = 12_000,
        ridge: float = 10.0,
        first_in_time: bool = False,
    ) -> None:
        check_positive(ridge=ridge)
        check_at_least(1, max_inputs=max_inputs)
        self.weight_exponent = weight_exponent
        self.max_inputs = max_inputs
        self.ridge = ridge
        self.first_in_time = first_in_time

    @classmethod
    def search_space(cls) -> SearchSpace:
        """Return the grid of ridges, for both kinds of support where there are times."""
        ridges = (0.1, 0.316, 1.0, 3.16, 10.0, 31.6, 100.0)
        return SearchSpace(
            cls,
            score_time={
                "first_in_time": Axis((False, True), start=False, needs_times=True),
                "ridge": Axis(ridges, extend="geometric"),
            },
        )

    def _fit(self, matrix: TrainingMatrix) -> None:
        order = matrix.item_count.argsort(descending=True, stable=True)[: self.max_inputs]
        self._input = order.sort().values
        self._moments: dict[tuple[int, bool], FewShotMoments] = {}

    def _score(self, matrix: TrainingMatrix, support: Support) -> Tensor:
        scores = torch.empty(len(support), matrix.n_items)
        for k in support.size.unique().tolist():
            rows = support.size == k
            moments = self._of(matrix, k)
            if moments.is_empty:
                scores[rows] = matrix.log_popularity
            else:
                shown = support[rows].to_dense(matrix.n_items)[:, self._input]
                scores[rows] = moments.predict(shown, self.ridge)
        return scores

    def _of(self, matrix: TrainingMatrix, k: int) -> FewShotMoments:
        """Return the moments of supports of k items; those of the last few k are kept."""
        key = (k, self.first_in_time and matrix.is_timed)
        if key not in self._moments:
            while len(self._moments) >= max(1, KEPT_FLOATS // len(self._input) ** 2):
                self._moments.pop(next(iter(self._moments)))
            self._moments[key] = FewShotMoments(
                matrix,
                self._input,
                k=k,
                weight_exponent=self.weight_exponent,
                first_in_time=key[1],
            )
        return self._moments[key]
