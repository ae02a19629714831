"""What the baselines share: one training matrix, and popularity for users without a support."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Self

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data.cold_users import Support
from graphmeta.errors import ConfigError, DataError
from graphmeta.ranking.baselines.training_matrix import TrainingMatrix


class MatrixScorer(ABC):
    """A baseline that learns from the binary users-by-items matrix alone.

    Subclasses learn in `_fit` and score users of whom something is known in `_score`, by default
    those with at least one interaction; the others get the logarithm of popularity.
    """

    _matrix: TrainingMatrix | None = None

    def fit(self, train: HeteroData) -> Self:
        """Learn from the training graph.

        Raises:
            DataError: The graph has no edge.
        """
        self._matrix = TrainingMatrix(train)
        self._fit(self._matrix)
        return self

    @torch.no_grad()
    def score(self, support: Support) -> Tensor:
        """Return every item's score for each user.

        Shapes:
            output: float32, `[n_users, n_items]`.

        Raises:
            DataError: The scorer is not fitted, or a support item is not in the catalogue.
        """
        matrix = self._fitted()
        matrix.check(support)
        shown = self._is_known(support)
        if bool(shown.all()):
            return self._score(matrix, support)
        scores = matrix.log_popularity.repeat(len(support), 1)
        if bool(shown.any()):
            scores[shown] = self._score(matrix, support[shown])
        return scores

    def _is_known(self, support: Support) -> Tensor:
        """Return of which users something is known; the others get the popularity."""
        return support.size > 0

    def _fitted(self) -> TrainingMatrix:
        if self._matrix is None:
            raise DataError(f"{type(self).__name__} is not fitted; call fit(train) first")
        return self._matrix

    def _fit(self, matrix: TrainingMatrix) -> None:  # noqa: B027 - nothing to learn is a valid fit
        """Learn what `_score` needs beyond the matrix."""

    @abstractmethod
    def _score(self, matrix: TrainingMatrix, support: Support) -> Tensor:
        """Score users of whom something is known."""


def check_at_least(low: float, **values: float) -> None:
    """Refuse hyperparameters below `low`, and NaN.

    Raises:
        ConfigError: One of them is; the message names it.
    """
    for name, value in values.items():
        if not value >= low:
            raise ConfigError(f"{name}={value} must be at least {low}; raise it")


def check_positive(**values: float) -> None:
    """Refuse hyperparameters that are not above 0.

    Raises:
        ConfigError: One of them is not; the message names it.
    """
    for name, value in values.items():
        if not value > 0:
            raise ConfigError(f"{name}={value} must be above 0; raise it")


def rank_unscored_by_popularity(scores: Tensor, log_popularity: Tensor) -> Tensor:
    """Put items that a neighbourhood method cannot score last, the popular ones first.

    Scores are at least 0, and exactly 0 where no neighbour speaks for an item. After one
    interaction that can be most of the catalogue, and ties there would be broken at random.

    Shapes:
        scores: `[n_users, n_items]`.
        log_popularity: `[n_items]`.
    """
    return scores.where(scores > 0, log_popularity - log_popularity.max() - 1)
