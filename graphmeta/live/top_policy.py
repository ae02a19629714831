"""Showing one of the best items: what a fixed list is to an estimator."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from graphmeta.errors import ConfigError
from graphmeta.live.policies import masked_scores


@dataclass(frozen=True)
class TopPolicy:
    """Shows one of the `k` best items, each with probability 1 / k.

    As a target policy its value is the mean reward of a place in the list of the k best, so that
    with clicks as rewards k times the value is the list's expected number of clicks, if a click
    on an item does not depend on what else is on the list. It shows no other item, so that it
    cannot be the policy that logs.

    Args:
        k: Length of the list, at least 1.

    Raises:
        ConfigError: `k` is below 1.
    """

    k: int = 10

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ConfigError(f"k={self.k} is below 1; give the length of the list")

    def probabilities(self, scores: Tensor, exclude: Tensor | None = None) -> Tensor:
        """Return 1 / k for each user's k best items and 0 for all others.

        Of items with equal scores the first ones of the catalogue are in.

        Shapes:
            scores: `[n_users, n_items]`.
            exclude: int64, `[n_users, n_excluded]`, items that are not shown; -1 is padding.
            output: float64, `[n_users, n_items]`.

        Raises:
            NonFiniteError: A score is NaN or infinite.
            ConfigError: The shapes do not fit, or a user has fewer than `k` items left.
        """
        masked = masked_scores(scores, exclude)
        fewest = int(masked.isfinite().sum(dim=1).min())
        if self.k > fewest:
            raise ConfigError(f"k={self.k} exceeds the {fewest} items left for some user; lower k")
        best = masked.sort(dim=1, descending=True, stable=True).indices[:, : self.k]
        return torch.zeros_like(masked).scatter_(1, best, 1 / self.k)
