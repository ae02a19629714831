"""What re-rankers share: they build each list item by item, by relevance and the list so far."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data.bipartite_graph import FORWARD
from graphmeta.data.cold_users import Support
from graphmeta.errors import ConfigError, DataError

# Below what any item is worth that may be shown.
LAST = torch.finfo(torch.float32).min


class GreedyReranker(ABC):
    """Puts together each user's list from the best items, one after the other.

    The next item of a list is the one with the largest

        (1 - strength) relevance + strength gain

    where the relevance is the item's share of the softmax of the scores over the candidates,
    divided by that of the best one, and a subclass says what the gain is, given the categories of
    the list so far. All users' lists grow at once.

    What a user likes is known from few items only. The user's share of a category is therefore
    `(n_c + prior_weight prior_c) / (n + prior_weight)`, for n items shown of which n_c are in it,
    and the category's share of all training interactions, prior_c.

    Args:
        graph: The training graph, such as a recommender's `train_graph`.
        categories: How much of each item is in each category; rows are scaled to sum to one, and
            one of zeros is in none.
        strength: How much the gain counts: from 0 (the order of the scores) to 1 (nothing else).
        n_candidates: How many of a user's best items the list is chosen from.
        prior_weight: How many items shown the training interactions stand for, 0 or more.

    Shapes:
        categories: `[n_items, n_categories]`, not negative.

    Raises:
        ConfigError: A number is out of its range.
        DataError: The categories do not fit the graph's items, are negative or not finite, or
            those of no item that anybody interacted with.
    """

    def __init__(
        self,
        graph: HeteroData,
        categories: Tensor,
        *,
        strength: float,
        n_candidates: int,
        prior_weight: float,
    ) -> None:
        if not 0 <= strength <= 1:
            raise ConfigError(f"strength={strength} is outside 0..1; 0 changes nothing")
        if n_candidates < 1:
            raise ConfigError(f"n_candidates={n_candidates} must be at least 1, such as 200")
        if not 0 <= prior_weight < float("inf"):
            raise ConfigError(f"prior_weight={prior_weight} must be a finite number, 0 or more")
        self.strength, self.n_candidates = strength, n_candidates
        self.prior_weight = prior_weight
        self.n_items = int(graph["item"].num_nodes)
        self.categories = _shares(categories, self.n_items)
        held = self.categories[graph[FORWARD].edge_index[1].cpu()].sum(0)
        if not bool(held.any()):
            raise DataError(
                "no interaction is with an item of a category; give 1 where it is in one"
            )
        self.prior = held / held.sum()

    def order(self, items: Tensor, scores: Tensor, support: Support, *, k: int) -> Tensor:
        """Return the places of the next best items; see `Reranker`."""
        profile, member = self.profile(support), self.categories[items]
        relevance = (scores - scores[:, :1]).exp()  # Of the softmax, divided by the best one's.
        may_not = scores == -torch.inf
        is_taken, held = torch.zeros_like(may_not), torch.zeros_like(profile)
        user, order = torch.arange(len(items)), torch.empty(len(items), k, dtype=torch.long)
        for place in range(k):
            gain = self.gain(profile, held, member)
            value = (1 - self.strength) * relevance + self.strength * gain
            value = value.masked_fill(may_not, LAST).masked_fill(is_taken, -torch.inf)
            best = value.argmax(1)
            order[:, place], is_taken[user, best] = best, True
            held += member[user, best]
        return order

    def profile(self, support: Support) -> Tensor:
        """Return each category's share in what each user likes; `[n_users, n_categories]`."""
        shown = self.categories[support.item_index.clamp(min=0)]
        shown = (shown * support.mask.unsqueeze(2)).sum(1)
        total = shown.sum(1, keepdim=True) + self.prior_weight
        return ((shown + self.prior_weight * self.prior) / total.clamp(min=1e-9)).float()

    @abstractmethod
    def gain(self, profile: Tensor, held: Tensor, member: Tensor) -> Tensor:
        """Return what each candidate adds to the list so far, besides relevance.

        Args:
            profile: What users like, from `profile`.
            held: How much of each category the list holds.
            member: How much of each candidate is in each category.

        Shapes:
            profile: float32, `[n_users, n_categories]`.
            held: float32, `[n_users, n_categories]`.
            member: float32, `[n_users, n_candidates, n_categories]`.
            output: float32, `[n_users, n_candidates]`.
        """


def _shares(categories: Tensor, n_items: int) -> Tensor:
    """Return the categories with rows that sum to one, or to zero."""
    found = torch.as_tensor(categories).detach().cpu().float()
    if found.dim() != 2 or len(found) != n_items or not found.size(1):
        raise DataError(
            f"categories have shape {list(found.shape)}; give a row for each of the graph's "
            f"{n_items} items and a column for each category"
        )
    if not bool((found.isfinite() & (found >= 0)).all()):
        raise DataError("categories are negative, missing or infinite; give 0 for none, 1 for one")
    return found / found.sum(1, keepdim=True).clamp(min=torch.finfo(torch.float32).tiny)
