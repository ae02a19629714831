"""What orders a user's best items anew, before the first of them are shown."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from graphmeta.data.cold_users import Support
from graphmeta.errors import ConfigError


@runtime_checkable
class Reranker(Protocol):
    """Orders each user's best items by more than their scores; see `with_reranker`.

    Attributes:
        n_candidates: How many of a user's best items it chooses from.
        n_items: Size of the catalogue that it knows.
    """

    n_candidates: int
    n_items: int

    def order(self, items: Tensor, scores: Tensor, support: Support, *, k: int) -> Tensor:
        """Return the places, among the candidates, of the `k` to be shown, best first.

        The first places must not depend on `k`: a longer list begins with the shorter one.

        Args:
            items: Each user's candidates, rows of the catalogue, the best scored first.
            scores: Their scores; minus infinity for those that may not be shown, of which a user
                with few items left has some. They come after all others.
            support: What the users have shown.
            k: How many are to be shown, at most as many as there are candidates.

        Shapes:
            items: int64, `[n_users, n]`, with n at most `n_candidates`.
            scores: float32, `[n_users, n]`.
            output: int64, `[n_users, k]`.
        """
        ...


def reranked(
    reranker: Reranker, items: Tensor, scores: Tensor, support: Support, *, k: int
) -> Tensor:
    """Return the places of the `k` items to be shown among each user's best ones.

    Beyond `n_candidates` places the order is that of the scores.

    Args:
        reranker: Chooses among the first `n_candidates`.
        items: Each user's items, the best scored first, at least `k`.
        scores: Their scores.
        support: What the users have shown.
        k: How many are to be shown.

    Shapes:
        items: int64, `[n_users, n]`.
        scores: float32, `[n_users, n]`.
        output: int64, `[n_users, k]`.
    """
    n = min(reranker.n_candidates, items.size(1))
    chosen = reranker.order(items[:, :n], scores[:, :n], support, k=min(k, n))
    rest = torch.arange(n, max(k, n)).expand(len(items), -1)
    return torch.cat([chosen, rest], dim=1)


def refuse_unfit(reranker: Reranker, n_items: int) -> None:
    """Check that something is a re-ranker of a catalogue.

    Raises:
        ConfigError: It is none, or made for a catalogue of another size.
    """
    if not isinstance(reranker, Reranker):
        raise ConfigError(
            f"a {type(reranker).__name__} is no Reranker, which has n_candidates, n_items and "
            "order(items, scores, support, *, k); see graphmeta.rerank"
        )
    if reranker.n_items != n_items:
        raise ConfigError(
            f"the re-ranker knows {reranker.n_items} items and the model {n_items}; make it from "
            "the model's train_graph"
        )
