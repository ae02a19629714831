"""More of the long tail, for users who like it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data.bipartite_graph import FORWARD
from graphmeta.ranking.long_tail import long_tail
from graphmeta.rerank.greedy_reranker import GreedyReranker


class LongTailReranker(GreedyReranker):
    """Covers the long tail and the rest as much as the user likes each: smooth xQuAD.

    The gain of an item v of category c, the `long_tail` or the rest, is

        P(c | user) (1 - share of c in the list so far)

    (Abdollahpouri, Burke and Mobasher, "Managing popularity bias in recommender systems with
    personalized re-ranking", FLAIRS 2019; the relevance there is the base model's score, scaled to
    0..1, and here a softmax, see `GreedyReranker`). Nothing is covered by an empty list.

    Args:
        graph: The training graph, such as a recommender's `train_graph`.
        strength: lambda, from 0 (the order of the scores) to 1 (no relevance at all).
        n_candidates: How many of a user's best items the list is chosen from.
        prior_weight: How many items shown the training interactions stand for.

    Raises:
        ConfigError: A number is out of its range.
    """

    def __init__(
        self,
        graph: HeteroData,
        *,
        strength: float,
        n_candidates: int = 200,
        prior_weight: float = 10.0,
    ) -> None:
        count = graph[FORWARD].edge_index[1].bincount(minlength=int(graph["item"].num_nodes))
        tail = long_tail(count)
        super().__init__(
            graph,
            torch.stack([tail, ~tail], dim=1),
            strength=strength,
            n_candidates=n_candidates,
            prior_weight=prior_weight,
        )

    def gain(self, profile: Tensor, held: Tensor, member: Tensor) -> Tensor:
        """Return the wanted share of each candidate's category times what is not yet covered."""
        covered = held / held.sum(1, keepdim=True).clamp(min=1)
        return (member @ (profile * (1 - covered)).unsqueeze(2)).squeeze(2)
