"""A Gaussian over every item's logit for a batch of users."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

# Numbers of users times items times columns held at once: 64 MiB.
NUMBERS_AT_ONCE = 2**24


@dataclass(frozen=True)
class Posterior:
    """`logit_i = offset_i + features_i . u` with a Gaussian `u` for each user.

    Args:
        offset: What the model says.
        features: Of the items; the last column is that of the user's activity, the same for all.
        mode: Mean of `u`.
        root: R, by which the covariance of `u` is `I - R^T R`.

    Shapes:
        offset: float32, `[n_users, n_items]`.
        features: float32, `[n_items, c]`.
        mode: float32, `[n_users, c]`.
        root: float32, `[n_users, m, c]`.
    """

    offset: Tensor
    features: Tensor
    mode: Tensor
    root: Tensor

    def __len__(self) -> int:
        return len(self.offset)

    @property
    def mean(self) -> Tensor:
        """The items' expected logits; float32, `[n_users, n_items]`."""
        return self.logits(self.mode)

    def logits(self, vectors: Tensor, items: Tensor | None = None) -> Tensor:
        """Return the logits of all items, or of some, for vectors `u`.

        Shapes:
            vectors: float32, `[n_users, c]`.
            items: int64, `[n_users, m]`.
            output: float32, `[n_users, n_items]` or `[n_users, m]`.
        """
        if items is None:
            return self.offset + vectors @ self.features.T
        own = (self.features[items] @ vectors.unsqueeze(2)).squeeze(2)
        return self.offset.gather(1, items) + own

    @property
    def std(self) -> Tensor:
        """The logits' standard deviations; float32, `[n_users, n_items]`."""
        return self._std(self.features, self.root)

    @property
    def taste_std(self) -> Tensor:
        """Those without the part that all items share, which no ranking depends on."""
        return self._std(self.features[:, :-1], self.root[:, :, :-1])

    def _std(self, features: Tensor, root: Tensor) -> Tensor:
        prior = features.square().sum(1)
        size = max(1, NUMBERS_AT_ONCE // max(len(features) * root.size(1), 1))
        taken = [(features @ some.transpose(1, 2)).square().sum(2) for some in root.split(size)]
        return (prior - torch.cat(taken)).clamp(min=0).sqrt()

    def chance(self, items: Tensor) -> Tensor:
        """Return the chances that some items are taken when shown.

        Shapes:
            items: int64, `[n_users, m]`.
            output: float32, `[n_users, m]`.
        """
        return chance(self.offset.gather(1, items), self.features[items], self.mode, self.root)

    def draw(self, generator: torch.Generator, *, scale: float = 1.0) -> Tensor:
        """Return vectors `u` drawn from the posterior, its standard deviations times `scale`.

        Shapes:
            output: float32, `[n_users, c]`.
        """
        identity = torch.eye(self.mode.size(1))
        factor = torch.linalg.cholesky(identity - self.root.transpose(1, 2) @ self.root)
        noise = torch.randn(self.mode.shape, generator=generator).unsqueeze(2)
        return self.mode + scale * (factor @ noise).squeeze(2)


def chance(offset: Tensor, features: Tensor, mode: Tensor, root: Tensor) -> Tensor:
    """Return the mean of the sigmoid of each user's items' logits.

    By MacKay's approximation ("The evidence framework applied to classification networks", Neural
    Computation 1992).

    Shapes:
        offset: float32, `[n_users, m]`.
        features: float32, `[n_users, m, c]`.
        mode: As in `Posterior`.
        root: As in `Posterior`.
        output: float32, `[n_users, m]`.
    """
    mean = offset + (features @ mode.unsqueeze(2)).squeeze(2)
    taken = (features @ root.transpose(1, 2)).square().sum(2)
    variance = (features.square().sum(2) - taken).clamp(min=0)
    return (mean / (1 + math.pi / 8 * variance).sqrt()).sigmoid()
