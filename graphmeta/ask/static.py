"""Lists of questions that are the same for everybody."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.ask.questions import Answers, Questions
from graphmeta.data.scipy_matrix import to_scipy

# Questions that a greedy list holds; popular items follow.
GREEDY_LENGTH = 100


class _ListQuestions(Questions):
    """A fixed order of questions."""

    order: Tensor

    def worth(self, answers: Answers) -> Tensor:
        return self.order.expand(len(answers), -1)


class RandomQuestions(_ListQuestions):
    """Items in a random order: what asking is worth at least.

    Args:
        graph: The training graph.
        seed: Draws the order.
    """

    name: ClassVar[str] = "random"

    def __init__(self, graph: HeteroData, *, seed: int = 0) -> None:
        super().__init__(graph)
        self.order = torch.rand(self.n_items, generator=torch.Generator().manual_seed(seed))


class PopularityQuestions(_ListQuestions):
    """The most popular item first: it is likely known, and says little."""

    name: ClassVar[str] = "popularity"

    def __init__(self, graph: HeteroData) -> None:
        super().__init__(graph)
        self.order = _popularity(graph)


class EntropyQuestions(_ListQuestions):
    """The item with the most uncertain answer first (Rashid et al., IUI 2002, Entropy0).

    The answers are the ratings that training users gave, and "don't know"; without ratings they
    are yes and "don't know".
    """

    name: ClassVar[str] = "entropy"

    def __init__(self, graph: HeteroData) -> None:
        super().__init__(graph)
        self.order = _entropy(graph)


class PopularityEntropyQuestions(_ListQuestions):
    """The product of log popularity and entropy (Rashid et al., IUI 2002)."""

    name: ClassVar[str] = "popularity-entropy"

    def __init__(self, graph: HeteroData) -> None:
        super().__init__(graph)
        self.order = _popularity(graph).log1p() * _entropy(graph)


class GreedyQuestions(_ListQuestions):
    """A list that grows by the item known to the users whom the list knows least of.

    An item is worth the sum over its training users of 1 / (1 + items of theirs on the list):
    popular, but not with the same people as those before.
    """

    name: ClassVar[str] = "greedy"

    def __init__(self, graph: HeteroData) -> None:
        super().__init__(graph)
        matrix = to_scipy(graph).tocsc()
        self.order = _popularity(graph) / (1 + matrix.shape[0])  # Below that of the list.
        on_list = np.zeros(matrix.shape[0])
        length = min(GREEDY_LENGTH, self.n_items)
        for place in range(length):
            worth = matrix.T @ (1 / (1 + on_list))
            worth[self.order.numpy() >= 1] = -np.inf
            best = int(worth.argmax())
            self.order[best] = float(length - place)
            on_list[matrix.indices[matrix.indptr[best] : matrix.indptr[best + 1]]] += 1


def _popularity(graph: HeteroData) -> Tensor:
    item = graph["user", "rates", "item"].edge_index[1]
    return torch.bincount(item, minlength=int(graph["item"].num_nodes)).float()


def _entropy(graph: HeteroData) -> Tensor:
    """Return the entropy of each item's answers, in nats; float32, `[n_items]`."""
    store, n_items = graph["user", "rates", "item"], int(graph["item"].num_nodes)
    n_users = int(graph["user"].num_nodes)
    values = store.rating if "rating" in store else torch.ones(store.edge_index.size(1))
    kinds, kind = values.unique(return_inverse=True)
    place = store.edge_index[1] * len(kinds) + kind
    count = torch.bincount(place, minlength=n_items * len(kinds)).view(n_items, -1).float()
    unknown = n_users - count.sum(1, keepdim=True)
    share = torch.cat([count, unknown], dim=1) / n_users
    return torch.special.entr(share).sum(1)
