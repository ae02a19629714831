"""What a fitted recommender does for users never seen."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any, Self

import pandas as pd
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data.cold_users import Support
from graphmeta.data.id_map import IdMap
from graphmeta.errors import DataError
from graphmeta.ranking.few_shot_scorer import FewShotScorer
from graphmeta.ranking.histories import (
    OnUnknown,
    allowed_items,
    histories_of_table,
    one_history,
)
from graphmeta.ranking.prior_blend import Blend
from graphmeta.ranking.rank_histories import rank_histories, ranked_frame
from graphmeta.ranking.ranked_items import Ranking


class FittedRecommender:
    """Scores and recommends with a trained model, which it does not change.

    A subclass sets the model and the graph that it was trained on.
    """

    _fitted: FewShotScorer | None = None
    _train: HeteroData | None = None

    @property
    def fitted(self) -> FewShotScorer:
        """The trained model.

        Raises:
            DataError: The recommender is not fitted.
        """
        if self._fitted is None:
            raise DataError("the recommender is not fitted; call fit(train) first, or load one")
        return self._fitted

    @property
    def gate(self) -> dict[int, bool]:
        """Whether validation users gained by adapting, by support size; empty without them."""
        return {} if self._fitted is None else dict(self._fitted.gate)

    @property
    def blend(self) -> dict[int, Blend]:
        """What validation users added to the scores, by support size."""
        prior = None if self._fitted is None else self._fitted.prior
        return {} if prior is None else dict(prior.chosen)

    def adapted(self) -> Self:
        """Return a recommender with the same weights that adapts every user."""
        return self._gated(True)

    def unadapted(self) -> Self:
        """Return a recommender with the same weights that adapts no user."""
        return self._gated(False)

    def _gated(self, is_adapted: bool) -> Self:
        other = copy.copy(self)
        other._fitted = self.fitted.gated(is_adapted)
        return other

    def is_adapted(self, k: int) -> bool:
        """Return whether users with `k` interactions are adapted: the nearest choice at hand."""
        return self.fitted.is_adapted(k)

    def score(self, support: Support, *, candidates: Tensor | None = None) -> Tensor:
        """Return each user's score of every item, or of some candidates.

        Users of one call may share random draws; the same support and seed give the same scores.

        Args:
            support: What the users have shown.
            candidates: Catalogue rows to score, the same for all users or each user's own.

        Shapes:
            candidates: int64, `[m]` or `[n_users, m]`.
            output: float32, `[n_users, n_items]` or `[n_users, m]`, on `device`.

        Raises:
            DataError: The recommender is not fitted, a support item is unknown, or a candidate is
                not in the catalogue.
        """
        return self.fitted.score(support, candidates=candidates)

    def recommend(
        self,
        history: Iterable[Any],
        k: int = 10,
        *,
        ratings: Iterable[Any] | None = None,
        times: Iterable[Any] | None = None,
        user_x: Tensor | None = None,
        include: Iterable[Any] | None = None,
        exclude: Iterable[Any] = (),
        on_unknown: OnUnknown = "raise",
    ) -> Ranking:
        """Return the `k` best items for one new user, best first, less the history.

        Args:
            history: Ids of the items that the user interacted with, oldest first; may be empty.
                Of an item that comes again the first interaction counts.
            k: How many items to return.
            ratings: A number for each item of the history, where the training graph has ratings.
            times: A number of seconds since 1970, or a date, for each; they set the order.
            user_x: The user's features where known, as `x` of the training graph's users.
            include: Ids of the only items that may be recommended; None for all.
            exclude: Ids of items that may not be.
            on_unknown: What to do about ids that are not in the catalogue: "raise", or leave them
                out with ("warn") or without ("drop") a warning.

        Shapes:
            user_x: float32, `[n_features]`.

        Raises:
            UnknownIdError: An id is not in the catalogue, and `on_unknown` is "raise".
            ConfigError: `k` is not positive, or exceeds the items left to recommend.
            DataError: The recommender is not fitted, `user_x` does not fit the training graph, or
                ratings or times do not fit the history.
        """
        item_ids = self.item_ids
        histories = one_history(
            history, item_ids, ratings=ratings, times=times, on_unknown=on_unknown
        )
        allowed = allowed_items(item_ids, include=include, exclude=exclude, on_unknown=on_unknown)
        if user_x is not None:
            user_x = self._checked(user_x).unsqueeze(0)
        (best,) = rank_histories(self.fitted, histories, k=k, allowed=allowed, user_x=user_x)
        return Ranking(
            tuple(item_ids.to_ids(best.items[0]).tolist()),
            tuple(best.scores[0].tolist()),
            best.source,
            best.support,
            histories.unknown,
        )

    def recommend_table(
        self,
        interactions: pd.DataFrame,
        k: int = 10,
        *,
        user: str = "user",
        item: str = "item",
        rating: str | None = None,
        time: str | None = None,
        include: Iterable[Any] | None = None,
        exclude: Iterable[Any] = (),
        on_unknown: OnUnknown = "raise",
    ) -> pd.DataFrame:
        """Return the `k` best items for every new user of a table, less the user's own.

        Users with equally long histories are scored together.

        Args:
            interactions: A row per interaction of a new user, a user's oldest first.
            k: How many items to return for each.
            user: Column with user ids.
            item: Column with item ids.
            rating: Column with ratings, or None.
            time: Column with seconds since 1970 or dates, which set the order, or None.
            include: Ids of the only items that may be recommended; None for all.
            exclude: Ids of items that may not be.
            on_unknown: As in `recommend`; a user of whom nothing is known gets popular items.

        Returns:
            Columns user, rank, item, score and source, best items first, users in the order in
            which they come first in the table. `source` is that of `Ranking`.

        Raises:
            UnknownIdError: An id is not in the catalogue, and `on_unknown` is "raise".
            ConfigError: `k` is not positive, or exceeds the items left for some user.
            DataError: The recommender is not fitted, or a column is missing or cannot be used.
        """
        item_ids = self.item_ids
        histories = histories_of_table(
            interactions,
            item_ids,
            user=user,
            item=item,
            rating=rating,
            time=time,
            on_unknown=on_unknown,
        )
        allowed = allowed_items(item_ids, include=include, exclude=exclude, on_unknown=on_unknown)
        blocks = list(rank_histories(self.fitted, histories, k=k, allowed=allowed))
        return ranked_frame(blocks, histories.users, item_ids)

    @property
    def train_graph(self) -> HeteroData:
        """The graph that the model was trained on; a loaded one has no ids of users.

        Raises:
            DataError: The recommender is not fitted.
        """
        if self._train is None:
            raise DataError("the recommender is not fitted; call fit(train) first, or load one")
        return self._train

    @property
    def item_ids(self) -> IdMap:
        """The catalogue's ids.

        Raises:
            DataError: The recommender is not fitted.
        """
        ids: IdMap = self.train_graph["item"].id_map
        return ids

    def _checked(self, user_x: Tensor) -> Tensor:
        known = self.fitted.head.table.user_x
        width = 0 if known is None else known.size(1)
        if user_x.shape != (width,):
            raise DataError(
                f"user_x has shape {list(user_x.shape)}, but training users have {width} "
                "features; give a vector of that length, or leave user_x out"
            )
        return user_x.float()
