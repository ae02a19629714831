"""Policies over a model's scores: how likely each item is to be shown first."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from graphmeta.errors import ConfigError, NonFiniteError


class Policy(Protocol):
    """Says how likely each item is to be shown to each user."""

    def probabilities(self, scores: Tensor, exclude: Tensor | None = None) -> Tensor:
        """Return each item's probability; rows sum to one.

        Shapes:
            scores: `[n_users, n_items]`.
            exclude: int64, `[n_users, n_excluded]`, items that are not shown; -1 is padding.
            output: float64, `[n_users, n_items]`.
        """
        ...


def masked_scores(scores: Tensor, exclude: Tensor | None) -> Tensor:
    """Return a copy of the scores in float64 with minus infinity at the excluded items.

    Shapes:
        scores: `[n_users, n_items]`.
        exclude: int64, `[n_users, n_excluded]`, or None; -1 is padding.
        output: float64, `[n_users, n_items]`.

    Raises:
        NonFiniteError: A score is NaN or infinite.
        ConfigError: The shapes do not fit, an item does not exist, or a user has no item left.
    """
    if scores.ndim != 2:
        raise ConfigError(
            f"scores have shape {list(scores.shape)}; expected a row per user and a column per "
            "item, as FewShotScorer.score returns them"
        )
    if not bool(scores.isfinite().all()):
        raise NonFiniteError("a score is NaN or infinite; a policy needs a number for every item")
    masked = scores.detach().to("cpu", torch.float64, copy=True)
    if exclude is not None:
        n_users, n_items = masked.shape
        if exclude.ndim != 2 or len(exclude) != n_users or not _are_items(exclude, n_items):
            raise ConfigError(
                f"exclude has shape {list(exclude.shape)}; expected a row for each of {n_users} "
                f"users with items from 0 to {n_items - 1}, or -1 for padding"
            )
        row, slot = (exclude >= 0).nonzero(as_tuple=True)
        masked[row, exclude[row, slot]] = -torch.inf
    if not bool(masked.isfinite().any(dim=1).all()):
        raise ConfigError("a user has no item left to be shown; exclude fewer")
    return masked


def _are_items(exclude: Tensor, n_items: int) -> bool:
    return not exclude.numel() or bool(((exclude >= -1) & (exclude < n_items)).all())
