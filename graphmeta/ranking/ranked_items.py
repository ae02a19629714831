"""The best items for one user, as a caller sees them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, overload

import pandas as pd

from graphmeta.data.cold_users import Support
from graphmeta.ranking.few_shot_scorer import Source


@dataclass(frozen=True)
class Ranking(Sequence[tuple[Any, float]]):
    """The best items for a user, best first: a sequence of pairs (item id, score).

    Scores order the items of one user; those of two users do not compare.

    Args:
        items: Their ids.
        scores: Their scores.
        source: What ranked them: the encoder "adapted" to the user, the encoder "unadapted", or
            for a user without interactions the "popular" items.
        support: What was known of the user, as a batch of one.
        unknown: Ids of the history that the catalogue does not know and that were left out.
    """

    items: tuple[Any, ...]
    scores: tuple[float, ...]
    source: Source
    support: Support = field(compare=False, repr=False)
    unknown: tuple[Any, ...] = ()

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[tuple[Any, float]]:
        return zip(self.items, self.scores, strict=True)

    @overload
    def __getitem__(self, index: int) -> tuple[Any, float]: ...
    @overload
    def __getitem__(self, index: slice) -> Ranking: ...
    def __getitem__(self, index: int | slice) -> tuple[Any, float] | Ranking:
        if isinstance(index, slice):
            return replace(self, items=self.items[index], scores=self.scores[index])
        return self.items[index], self.scores[index]

    def to_frame(self) -> pd.DataFrame:
        """Return a row per item: its rank from 1, id, score and source."""
        ranks = range(1, len(self) + 1)
        columns = {"rank": ranks, "item": self.items, "score": self.scores, "source": self.source}
        return pd.DataFrame(columns)
