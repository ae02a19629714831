"""What a served bundle is measured against: other rankings behind the same service."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy import sparse

from graphmeta.data.scipy_matrix import to_scipy
from graphmeta.errors import MissingExtraError
from graphmeta.ranking import ColdStartRecommender
from graphmeta.ranking.few_shot_scorer import Source
from graphmeta.serve.served_model import Ranked, RankRequest, ServedModel

FACTORS = 64
SOURCE: Source = "unadapted"


class BareProduct(ServedModel):
    """Multiplies random vectors with random item embeddings: the least that ranking can cost."""

    def __init__(self, model: ColdStartRecommender, *, title: str | None = None) -> None:
        super().__init__(model, title=title)
        generator = torch.Generator().manual_seed(0)
        self._items = torch.randn(FACTORS, len(self.ids), generator=generator)
        self._users = torch.randn(1024, FACTORS, generator=generator)

    def rank(self, requests: Sequence[RankRequest]) -> list[Ranked]:
        """Rank by the products."""
        if not requests:
            return []
        scores = self._users[: len(requests)] @ self._items
        allowed = torch.stack([request.allowed for request in requests])
        k = max(request.k for request in requests)
        best = scores.masked_fill_(~allowed, -torch.inf).topk(k)
        return _ranked(requests, best.indices.tolist(), best.values.tolist())


class FoldedIn(ServedModel):
    """The alternating least squares of `implicit`, which solves for each new user's factors."""

    def __init__(self, model: ColdStartRecommender, *, title: str | None = None) -> None:
        super().__init__(model, title=title)
        try:
            from implicit.als import AlternatingLeastSquares
        except ImportError as error:
            raise MissingExtraError(
                "the comparison needs the package implicit; pip install implicit"
            ) from error
        self._als = AlternatingLeastSquares(factors=FACTORS, random_state=0, num_threads=1)
        self._als.fit(sparse.csr_matrix(to_scipy(model.train_graph)), show_progress=False)

    def rank(self, requests: Sequence[RankRequest]) -> list[Ranked]:
        """Rank by the factors of each user's items."""
        if not requests:
            return []
        rows = [[self.row_of[event.item] for event in request.events] for request in requests]
        pointer = np.cumsum([0, *map(len, rows)])
        column = np.array([row for some in rows for row in some], dtype=np.int32)
        shape = (len(requests), len(self.ids))
        shown = sparse.csr_matrix((np.ones(len(column), np.float32), column, pointer), shape=shape)
        k = max(request.k for request in requests)
        items, scores = self._als.recommend(
            np.arange(len(requests)), shown, N=k, recalculate_user=True
        )
        return _ranked(requests, items.tolist(), scores.tolist())


def _ranked(
    requests: Sequence[RankRequest], items: list[list[int]], scores: list[list[float]]
) -> list[Ranked]:
    return [
        Ranked(tuple(some[: request.k]), tuple(of[: request.k]), SOURCE)
        for request, some, of in zip(requests, items, scores, strict=True)
    ]


SERVICES: dict[str, type[ServedModel]] = {
    "graphmeta": ServedModel,
    "bare product": BareProduct,
    "implicit fold-in": FoldedIn,
}
