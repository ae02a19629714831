"""What a fitted recommender does for users never seen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import pandas as pd
from torch import Tensor

from graphmeta.data.cold_users import Support
from graphmeta.errors import ConfigError, DataError
from graphmeta.ranking.fitted_model import FittedModel
from graphmeta.ranking.histories import (
    OnUnknown,
    allowed_items,
    histories_of_table,
    one_history,
)
from graphmeta.ranking.linked_rows import linked_rows, linked_rows_of_table
from graphmeta.ranking.rank_histories import rank_histories, ranked_frame, refuse_k
from graphmeta.ranking.ranked_items import Ranking
from graphmeta.ranking.user_state import UserState, appended


class FittedRecommender(FittedModel):
    """Recommends to users never seen, in the caller's ids."""

    def recommend(
        self,
        history: Iterable[Any] | UserState,
        k: int = 10,
        *,
        ratings: Iterable[Any] | None = None,
        times: Iterable[Any] | None = None,
        user_x: Tensor | None = None,
        links: Iterable[Any] | None = None,
        include: Iterable[Any] | None = None,
        exclude: Iterable[Any] = (),
        filters: Mapping[str, Any] | None = None,
        on_unknown: OnUnknown = "raise",
    ) -> Ranking:
        """Return the `k` best items for one new user, best first, less the history.

        Args:
            history: Ids of the items that the user interacted with, oldest first; may be empty.
                Of an item that comes again the first interaction counts. Or what `adapt` made of
                them, which saves adapting again.
            k: How many items to return.
            ratings: A number for each item of the history, where the training graph has ratings.
            times: A number of seconds since 1970, or a date, for each; they set the order.
            user_x: The user's features where known, as `x` of the training graph's users.
            links: Ids of the training users to whom the user is linked, where the training graph
                has links (`data.with_links`).
            include: Ids of the only items that may be recommended; None for all.
            exclude: Ids of items that may not be.
            filters: What items must be like, by the columns of `describe_items`: a value, a list of
                which one is enough, or `{"min": ..., "max": ...}`.
            on_unknown: What to do about ids that are not in the catalogue, or not of training
                users: "raise", or leave them out with ("warn") or without ("drop") a warning.

        Shapes:
            user_x: float32, `[n_features]`.

        Raises:
            UnknownIdError: An id is not in the catalogue, and `on_unknown` is "raise".
            ConfigError: `k` is not positive or exceeds the items left to recommend, a filter does
                not fit the items, or there are ratings, times, features or links beside a state.
            DataError: The recommender is not fitted, `user_x` or `links` do not fit the training
                graph, ratings or times do not fit the history, or the state is another model's.
        """
        unknown: tuple[Any, ...] = ()
        item_ids, weights = self.item_ids, None
        if isinstance(history, UserState):
            if any(about is not None for about in (ratings, times, user_x, links)):
                raise ConfigError(
                    "a state holds its ratings, times and features, and its links; leave them out, "
                    "or call update"
                )
            self._refuse_foreign(history)
            support, weights = history.support, [history.weights]
        else:
            support, unknown = self._support(history, ratings, times, user_x, links, on_unknown)
        allowed = self._allowed(include, exclude, filters, on_unknown)
        shown = support.item_index[0]
        refuse_k(k, int(allowed.sum() - allowed[shown].sum()))
        items, scores = self.fitted.best(support, k=k, allowed=allowed, weights=weights)
        return Ranking(
            tuple(item_ids.to_ids(items[0]).tolist()),
            tuple(scores[0].tolist()),
            self.fitted.source(len(shown)),
            support,
            unknown,
        )

    def adapt(
        self,
        history: Iterable[Any],
        *,
        ratings: Iterable[Any] | None = None,
        times: Iterable[Any] | None = None,
        user_x: Tensor | None = None,
        links: Iterable[Any] | None = None,
        on_unknown: OnUnknown = "raise",
    ) -> UserState:
        """Return what `recommend` needs to rank for one user again, without adapting again.

        Args:
            history: As for `recommend`, like all others.
            ratings: A number for each item.
            times: A time for each item.
            user_x: The user's features.
            links: Ids of the training users to whom the user is linked.
            on_unknown: What to do about ids that are not in the catalogue.

        Raises:
            UnknownIdError: An id is not in the catalogue, and `on_unknown` is "raise".
            DataError: As `recommend` raises it.
        """
        found, _ = self._support(history, ratings, times, user_x, links, on_unknown)
        return self.state_of(found)

    def update(
        self,
        state: UserState,
        history: Iterable[Any],
        *,
        ratings: Iterable[Any] | None = None,
        times: Iterable[Any] | None = None,
        on_unknown: OnUnknown = "raise",
    ) -> UserState:
        """Return the state after further interactions; the given one is not changed.

        The user is adapted anew, to all interactions: the same as if they had come at once.

        Args:
            state: What `adapt` or `update` returned.
            history: Ids of the items that came since, oldest first. Of an item that comes again
                the first interaction counts.
            ratings: A number for each item, if the state has ratings.
            times: A time for each item, if the state has times.
            on_unknown: What to do about ids that are not in the catalogue.

        Raises:
            UnknownIdError: An id is not in the catalogue, and `on_unknown` is "raise".
            DataError: The state is another model's, or has ratings or times and the new
                interactions have not, or the other way round.
        """
        self._refuse_foreign(state)
        new = self._support(history, ratings, times, None, None, on_unknown)[0]
        return self.state_of(appended(state.support, new))

    def _support(
        self,
        history: Iterable[Any],
        ratings: Iterable[Any] | None,
        times: Iterable[Any] | None,
        user_x: Tensor | None,
        links: Iterable[Any] | None,
        on_unknown: OnUnknown,
    ) -> tuple[Support, tuple[Any, ...]]:
        """Return one user's support, and the ids that were left out."""
        histories = one_history(
            history, self.item_ids, ratings=ratings, times=times, on_unknown=on_unknown
        )
        ((_, support),) = histories.blocks(1)
        if user_x is not None:
            support = replace(support, user_x=self._checked(user_x).unsqueeze(0))
        if links is None:
            return support, histories.unknown
        rows = linked_rows(self.train_graph, links, on_unknown=on_unknown)
        return replace(support, links=rows.unsqueeze(0)), histories.unknown

    def state_of(self, support: Support) -> UserState:
        """Return the state of a user whose interactions are given as rows of the catalogue.

        Args:
            support: One user's, without padding.

        Raises:
            DataError: A support item is unknown.
        """
        source = self.fitted.source(support.item_index.size(1))
        return UserState(support, self.fitted.adapt(support)[0], source, self.fingerprint)

    def _refuse_foreign(self, state: UserState) -> None:
        if state.model != self.fingerprint:
            raise DataError(
                "the state was made by another model; adapt from the user's history anew"
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
        links: pd.DataFrame | None = None,
        friend: str = "friend",
        include: Iterable[Any] | None = None,
        exclude: Iterable[Any] = (),
        filters: Mapping[str, Any] | None = None,
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
            links: A row per link of a new user to a training user, with the ids in the columns
                `user` and `friend`, as `recommend` takes them; None where there are none.
            friend: Column of `links` with the ids of the training users.
            include: Ids of the only items that may be recommended; None for all.
            exclude: Ids of items that may not be.
            filters: As in `recommend`.
            on_unknown: As in `recommend`; a user of whom nothing is known gets popular items.

        Returns:
            Columns user, rank, item, score and source, best items first, users in the order in
            which they come first in the table. `source` is that of `Ranking`.

        Raises:
            UnknownIdError: An id is not in the catalogue, and `on_unknown` is "raise".
            ConfigError: `k` is not positive or exceeds the items left for some user, or a filter
                does not fit the items.
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
        allowed = self._allowed(include, exclude, filters, on_unknown)
        rows = None
        if links is not None:
            rows = linked_rows_of_table(
                self.train_graph,
                links,
                histories.users,
                user=user,
                friend=friend,
                on_unknown=on_unknown,
            )
        blocks = list(rank_histories(self.fitted, histories, k=k, allowed=allowed, links=rows))
        return ranked_frame(blocks, histories.users, item_ids)

    def _allowed(
        self,
        include: Iterable[Any] | None,
        exclude: Iterable[Any],
        filters: Mapping[str, Any] | None,
        on_unknown: OnUnknown,
    ) -> Tensor:
        return allowed_items(
            self.item_ids,
            include=include,
            exclude=exclude,
            filters=filters,
            item_table=self._item_table,
            on_unknown=on_unknown,
        )

    def _checked(self, user_x: Tensor) -> Tensor:
        known = self.fitted.head.table.user_x
        width = 0 if known is None else known.size(1)
        if user_x.shape != (width,):
            raise DataError(
                f"user_x has shape {list(user_x.shape)}, but training users have {width} "
                "features; give a vector of that length, or leave user_x out"
            )
        return user_x.float()
