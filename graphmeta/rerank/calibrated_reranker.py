"""Lists with the same mix of categories as what the user has shown."""

from __future__ import annotations

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data.bipartite_graph import FORWARD
from graphmeta.ranking.long_tail import popularity_groups
from graphmeta.rerank.greedy_reranker import GreedyReranker

# How much of what is wanted is mixed into what the list holds, so that no share is zero.
MIXED_IN = 0.01


class CalibratedReranker(GreedyReranker):
    """Calibrates each list: its categories come as often as the user likes them (Steck).

    With p the user's shares of the categories and q those of the list once an item is added, the
    gain of the item is `- KL(p || .99 q + .01 p)`, in nats ("Calibrated recommendations", RecSys
    2018). Items of all places count alike, and so do all items shown.

    By default the categories are the head, the middle and the tail of the catalogue's popularity:
    calibrated popularity (Abdollahpouri et al., UMAP 2021, with the Jensen-Shannon divergence in
    place of Steck's). Or they are any others, such as genres, see `item_categories`, or the items'
    binary features, `graph["item"].x`.

    Args:
        graph: The training graph, such as a recommender's `train_graph`.
        categories: How much of each item is in each category; rows are scaled to sum to one, and
            one of zeros is in none. None for the groups of the popularity.
        strength: lambda, from 0 (the order of the scores) to 1 (calibration alone).
        n_candidates: How many of a user's best items the list is chosen from.
        prior_weight: How many items shown the training interactions stand for.

    Shapes:
        categories: `[n_items, n_categories]`, not negative.

    Raises:
        ConfigError: A number is out of its range.
        DataError: The categories do not fit the graph's items, or are negative or not finite.
    """

    def __init__(
        self,
        graph: HeteroData,
        categories: Tensor | None = None,
        *,
        strength: float,
        n_candidates: int = 200,
        prior_weight: float = 10.0,
    ) -> None:
        if categories is None:
            n_items = int(graph["item"].num_nodes)
            categories = popularity_groups(graph[FORWARD].edge_index[1].bincount(minlength=n_items))
        super().__init__(
            graph,
            categories,
            strength=strength,
            n_candidates=n_candidates,
            prior_weight=prior_weight,
        )

    def gain(self, profile: Tensor, held: Tensor, member: Tensor) -> Tensor:
        """Return minus the divergence of the list with each candidate from what is wanted."""
        wanted = profile.unsqueeze(1)
        mix = held.unsqueeze(1) + member
        mix = mix / mix.sum(2, keepdim=True).clamp(min=torch.finfo(mix.dtype).tiny)
        mix = torch.lerp(mix, wanted.expand_as(mix), MIXED_IN)
        return -torch.xlogy(wanted, wanted / mix.clamp(min=torch.finfo(mix.dtype).tiny)).sum(2)
