"""Liked items and sampled others, labelled 1 and 0: what pointwise meta-learners learn from."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data.cold_users import Support
from graphmeta.tasks.support_draws import SupportDraws


@dataclass(frozen=True)
class LabelledItems:
    """Items of each user with a label, 1 for an interaction and 0 for a sampled other item.

    Shapes:
        item_index: int64, `[n_users, m]`; any item where `mask` is False.
        label: float32, `[n_users, m]`.
        mask: bool, `[n_users, m]`; False is padding.
    """

    item_index: Tensor
    label: Tensor
    mask: Tensor

    def mean(self, values: Tensor) -> Tensor:
        """Return each user's mean over the own items, 0 where there is none.

        Shapes:
            values: `[n_users, m]` or `[n_users, m, c]`.
            output: `[n_users]` or `[n_users, c]`.
        """
        mask = self.mask.to(values.dtype)
        size = mask.sum(1).clamp(min=1)
        if values.dim() == 2:
            return (values * mask).sum(1) / size
        return (values * mask.unsqueeze(2)).sum(1) / size.unsqueeze(1)

    def cross_entropy(self, logit: Tensor) -> Tensor:
        """Return each user's mean binary cross-entropy, 0 where there is no item.

        Shapes:
            logit: `[n_users, m]`.
            output: `[n_users]`.
        """
        label = self.label.to(logit.dtype)
        return self.mean(F.binary_cross_entropy_with_logits(logit, label, reduction="none"))

    def with_others(self, others: LabelledItems) -> LabelledItems:
        """Return these items and `others` of the same users."""
        return LabelledItems(
            torch.cat([self.item_index, others.item_index], dim=1),
            torch.cat([self.label, others.label], dim=1),
            torch.cat([self.mask, others.mask], dim=1),
        )


@dataclass(frozen=True)
class LabelledEpisode:
    """A batch of training users: what each has shown, and what is to be told apart.

    Shapes:
        user_x: float32, `[n_users, n_features]` or None.
    """

    user_x: Tensor | None
    support: LabelledItems
    query: LabelledItems


class LabelledEpisodes:
    """Draws episodes of training users, and labels the supports of new users alike.

    A batch has one k, log-uniform in 1 to `k_max`, and 0 every tenth time. k items of a user
    (random ones, or where edges have times the first ones every other time) are the support, and
    up to `query_size` random others the query. To both come `n_negatives` random items for each
    item of the user, none of them from the user's row.

    A new user's negatives are not drawn but read off a fixed random order of the catalogue, from
    a place on that the support decides: they depend neither on the batch nor on the order of the
    support, and different users have different ones.

    Args:
        graph: The training graph.
        k_max: Largest support.
        query_size: Most items of a user in the query.
        n_negatives: Sampled items for each item of the user.
        seed: Draws the fixed order.

    Raises:
        DataError: No user has two items.
    """

    def __init__(
        self, graph: HeteroData, *, k_max: int, query_size: int, n_negatives: int, seed: int
    ) -> None:
        self.k_max, self.query_size, self.n_negatives = k_max, query_size, n_negatives
        self._draws = SupportDraws(graph)
        self._num_items = int(graph["item"].num_nodes)
        n_items = int(graph["item"].num_nodes)
        self._order = torch.randperm(n_items, generator=torch.Generator().manual_seed(seed))
        self._place = self._order.argsort()

    def __len__(self) -> int:
        """Number of items of the catalogue."""
        return len(self._order)

    @property
    def users(self) -> Tensor:
        """Rows of the users with at least two items; int64."""
        return self._draws.users

    def draw(self, users: Tensor, generator: torch.Generator) -> LabelledEpisode:
        """Return an episode of these users.

        Shapes:
            users: int64, `[n_users]`.
        """
        first, second = torch.rand(2, generator=generator).tolist()
        k = 0 if first < 0.1 else min(self.k_max, int(math.exp(first * math.log(self.k_max + 1))))
        in_order = self._draws.is_timed and second < 0.5
        shown, seen = self._draws.draw(users, k, in_order=in_order, generator=generator)
        is_own = seen.to_dense(self._num_items) > 0
        is_query = is_own & (shown.to_dense(self._num_items) == 0)
        query, in_query = _random_items(is_query, self.query_size, generator)
        n_support = self.n_negatives * k
        other, is_other = _random_items(
            ~is_own, n_support + self.n_negatives * self.query_size, generator
        )
        return LabelledEpisode(
            shown.user_x,
            self._joined(
                shown.item_index, shown.mask, other[:, :n_support], is_other[:, :n_support]
            ),
            self._joined(query, in_query, other[:, n_support:], is_other[:, n_support:]),
        )

    def label(self, support: Support) -> LabelledItems:
        """Return a new user's support with its negatives."""
        item, mask = support.item_index, support.mask
        n_items, k = len(self._order), item.size(1)
        start = (self._place[item.clamp(min=0)] * mask).sum(1, keepdim=True)
        reach = torch.arange(min(n_items, (self.n_negatives + 1) * k))
        other = self._order[(start + reach) % n_items]
        is_own = (other.unsqueeze(2) == item.unsqueeze(1)).any(2)
        return self._joined(item, mask, other, ~is_own)

    def _joined(
        self, own: Tensor, is_own: Tensor, other: Tensor, is_other: Tensor
    ) -> LabelledItems:
        """Return own items and the first `n_negatives` others for each of them."""
        wanted = self.n_negatives * is_own.sum(1, keepdim=True)
        is_other = is_other & (is_other.cumsum(1) <= wanted)
        return LabelledItems(
            torch.cat([own.clamp(min=0), other], dim=1),
            torch.cat([torch.ones(own.shape), torch.zeros(other.shape)], dim=1),
            torch.cat([is_own, is_other], dim=1),
        )


def _random_items(allowed: Tensor, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw up to n different allowed items of each row.

    Shapes:
        allowed: bool, `[n_rows, n_items]`.
        output: int64 and bool, both `[n_rows, min(n, n_items)]`; the latter tells items from
            padding, which comes last.
    """
    key = torch.rand(allowed.shape, generator=generator).masked_fill(~allowed, -1.0)
    best = key.topk(min(n, allowed.size(1)), dim=1)
    return best.indices, best.values >= 0
