"""Showing items at random, better ones more often, so that the log can be used later."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from graphmeta.errors import ConfigError
from graphmeta.live.policies import masked_scores


@dataclass(frozen=True)
class Slates:
    """Lists that were drawn, with what must be logged beside them.

    Args:
        items: Rows of the catalogue, the first place first.
        propensity: The probability that the first item came first.
        list_propensity: The probability of the whole list in its order.

    Shapes:
        items: int64, `[n_users, k]`.
        propensity: float64, `[n_users]`.
        list_propensity: float64, `[n_users]`.
    """

    items: Tensor
    propensity: Tensor
    list_propensity: Tensor


@dataclass(frozen=True)
class SoftmaxPolicy:
    """Draws lists from a model's scores without replacement, with known probabilities.

    An item comes first with probability

        w_i = (1 - uniform) softmax(score / temperature)_i + uniform / n_candidates

    and each later place is drawn alike from the items that are left (the Plackett-Luce model,
    Plackett, "The analysis of permutations", 1975), so that a list i_1, ..., i_k has probability
    `w_i1 * w_i2 / (1 - w_i1) * ...`. Both are exact.

    Args:
        temperature: Above 0, in the unit of the scores. Near 0 the best item nearly always comes
            first, and a log of that tells nothing about the others.
        uniform: Share from 0 to 1 of first places that go to any candidate alike. It keeps every
            propensity at `uniform / n_candidates` or above, and so every later weight bounded.

    Raises:
        ConfigError: A number is out of its range.
    """

    temperature: float = 1.0
    uniform: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.temperature < float("inf"):
            raise ConfigError(f"temperature={self.temperature} must be above 0 and finite")
        if not 0 <= self.uniform <= 1:
            raise ConfigError(f"uniform={self.uniform} must be a share from 0 to 1")

    def probabilities(self, scores: Tensor, exclude: Tensor | None = None) -> Tensor:
        """Return the probability of each item to come first; rows sum to one.

        Shapes:
            scores: `[n_users, n_items]`.
            exclude: int64, `[n_users, n_excluded]`, items that are not shown; -1 is padding.
            output: float64, `[n_users, n_items]`.

        Raises:
            NonFiniteError: A score is NaN or infinite.
            ConfigError: The shapes do not fit, or a user has no item left.
        """
        masked = masked_scores(scores, exclude)
        candidate = masked.isfinite()
        soft = torch.softmax(masked / self.temperature, dim=1)
        alike = candidate / candidate.sum(dim=1, keepdim=True)
        return (1 - self.uniform) * soft + self.uniform * alike

    def draw(
        self,
        scores: Tensor,
        exclude: Tensor | None = None,
        *,
        k: int = 1,
        generator: torch.Generator,
    ) -> Slates:
        """Draw a list of `k` items for each user.

        Args:
            scores: As `FewShotScorer.score` returns them.
            exclude: Items that are not shown, as `Support.item_index`.
            k: Length of the lists.
            generator: Draws them.

        Shapes:
            scores: `[n_users, n_items]`.
            exclude: int64, `[n_users, n_excluded]`; -1 is padding.

        Raises:
            NonFiniteError: A score is NaN or infinite.
            ConfigError: The shapes do not fit, or `k` exceeds the items that can be shown.
        """
        first = self.probabilities(scores, exclude)
        fewest = int((first > 0).sum(dim=1).min())
        if not 1 <= k <= fewest:
            raise ConfigError(
                f"k={k} is outside 1..{fewest}, the items that some user can be shown; lower k, "
                "or raise temperature or uniform"
            )
        items = torch.multinomial(first, k, generator=generator)
        return Slates(
            items,
            first.gather(1, items[:, :1]).squeeze(1),
            self.propensity(scores, items, exclude),
        )

    def propensity(self, scores: Tensor, items: Tensor, exclude: Tensor | None = None) -> Tensor:
        """Return the probability of each user's list in its order; of one item, to come first.

        The probability of an item to be anywhere on a list, or at a later place, is a sum over
        all orders of the items before it; it is not offered, and the log needs none.

        Shapes:
            scores: `[n_users, n_items]`.
            items: int64, `[n_users, k]`.
            exclude: int64, `[n_users, n_excluded]`; -1 is padding.
            output: float64, `[n_users]`; 0 where an excluded item was shown or one came twice.

        Raises:
            ConfigError: The shapes do not fit.
            NonFiniteError: A score is NaN or infinite.
        """
        first = self.probabilities(scores, exclude)
        if items.ndim != 2 or len(items) != len(first) or not items.numel():
            raise ConfigError(
                f"items have shape {list(items.shape)}; expected a row for each of {len(first)} "
                "users with the items shown"
            )
        if int(items.min()) < 0 or int(items.max()) >= first.size(1):
            raise ConfigError(f"items must be rows of the catalogue, 0 to {first.size(1) - 1}")
        left, product = first.clone(), torch.ones(len(first), dtype=torch.float64)
        for place in items.unbind(dim=1):
            column = place.unsqueeze(1)
            # What is left is summed anew: one minus the sum of likely items would cancel.
            product *= left.gather(1, column).squeeze(1) / left.sum(dim=1).clamp(min=1e-300)
            left.scatter_(1, column, 0.0)
        return product
