"""Why one user got these items, as tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from graphmeta.errors import UnknownIdError
from graphmeta.ranking import Ranking


@dataclass(frozen=True)
class Explanation:
    """Why one user got these items, in the caller's ids.

    Args:
        ranking: What is explained.
        edges: A row per recommended `item` and `shown` item of the history: the `effect` of that
            interaction, which is the logarithm of how many times likelier it made the item, by
            the softmax over the catalogue, and the item's `rank` with and `rank_without` it, from
            1. The user is adapted anew without it; the most effective come first. `vote_share`
            is the share of the neighbours' votes for the item that came over the shown one.
        parts: A row per recommended `item`: what `prior` (popularity and the item's bias),
            `product` (of the embeddings), `vote` (of neighbours), `content` (of features of
            items), `features` (of the user), `blend` (a prior that validation users asked for)
            and `adaptation` (all that adapting changed) add to its score, against the mean item;
            `like_items` too, where nobody has interacted with some items (`NewItemScores`).
            They sum to `score`.
        paths: A row per path from a `shown` item over a neighbour, or a feature, that is `over`,
            to a recommended `item`: its `share` of the votes for the item. `kind` is "user" or
            "feature", `over` a user's id or the name of a feature, its column's number where
            features have no names.
    """

    ranking: Ranking
    edges: pd.DataFrame
    parts: pd.DataFrame
    paths: pd.DataFrame

    def of(self, item: Any) -> Explanation:
        """Return the explanation of one item.

        Raises:
            UnknownIdError: The item was not recommended.
        """
        if item not in self.ranking.items:
            raise UnknownIdError(f"{item!r} was not recommended; explain one of the ranking")
        at = self.ranking.items.index(item)
        tables = (table[table["item"] == item] for table in (self.edges, self.parts, self.paths))
        return Explanation(self.ranking[at : at + 1], *tables)
