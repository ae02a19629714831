"""A user's state that starts anew when the user's interest changes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from graphmeta.drift.page_hinkley import PageHinkley
from graphmeta.drift.surprise import surprise_of
from graphmeta.ranking.fitted_recommender import FittedRecommender
from graphmeta.ranking.user_state import UserState


class ChangeDetector(Protocol):
    """Says whether, and where, a row of surprises rises for good."""

    def change(self, surprises: list[float]) -> tuple[int, int] | None:
        """Return after how many surprises it is clear, and how many came before the change."""
        ...


@dataclass(frozen=True)
class Interest:
    """What a user is interested in now, and what came before.

    Numbers, ids and a state: whoever stores it stores all there is.

    Args:
        state: Of the interactions since the latest change; what to recommend by.
        surprises: How little each of these was expected, see `surprise_of`.
        earlier: Ids of the items shown before the latest change; exclude them.
        changes: How many interactions had been shown when each change set in.
    """

    state: UserState
    surprises: tuple[float, ...] = ()
    earlier: tuple[Any, ...] = ()
    changes: tuple[int, ...] = ()


class InterestTracker:
    """Follows users whose interest may change, one interaction after the other.

    Every new interaction is ranked among all items by the state before it. Where these ranks
    become worse and stay so, the state that is kept is cut at the change and the user is adapted
    anew, to what came after. Nothing of the user is held here: the `Interest` goes in and out.

        tracker = InterestTracker(model)
        user = tracker.start([318, 858, 50])
        user = tracker.update(user, [1, 3114])
        model.recommend(user.state, exclude=user.earlier)

    Args:
        model: Adapts and ranks; perhaps one `with_half_life`.
        detector: Says when ranks became worse; None for `PageHinkley()`.

    Raises:
        MissingExtraError: There is no detector and river is not installed.
    """

    def __init__(self, model: FittedRecommender, detector: ChangeDetector | None = None) -> None:
        self.model = model
        self.detector: ChangeDetector = PageHinkley() if detector is None else detector

    def start(self, history: Iterable[Any], **known: Any) -> Interest:
        """Return the interest of a user who has shown some items, oldest first.

        Args:
            history: Ids of the items; changes within them are found.
            known: `ratings`, `times`, `user_x` and `on_unknown` as for the model's `adapt`.
        """
        return self._judged(self.model.adapt(history, **known), Interest(self.model.adapt([])))

    def update(self, user: Interest, history: Iterable[Any], **known: Any) -> Interest:
        """Return the interest after further interactions; the given one is not changed.

        Args:
            user: What `start` or `update` returned.
            history: Ids of the items that came since, oldest first.
            known: `ratings`, `times` and `on_unknown` as for the model's `update`.

        Raises:
            DataError: The state is another model's, or as the model's `update` raises it.
        """
        return self._judged(self.model.update(user.state, history, **known), user)

    def _judged(self, state: UserState, user: Interest) -> Interest:
        """Return the interest for a state that holds more than the user's did."""
        support, ids = state.support, self.model.item_ids
        known = user.state.support.item_index
        n_known = known.size(1)
        if not torch.equal(support.item_index[:, :n_known], known):
            n_known = 0  # Late news of earlier times: all is judged anew.
        surprises = [*user.surprises[:n_known]]
        surprises += surprise_of(self.model.fitted, support, start=n_known).tolist()
        earlier, changes = user.earlier, user.changes
        while (found := self.detector.change(surprises)) is not None:
            cut = found[1]
            before = ids.to_ids(support.item_index[0, :cut]).tolist()
            changes = (*changes, len(earlier) + cut)
            earlier = (*earlier, *before)
            support = support.at(slice(cut, None))
            surprises = surprise_of(self.model.fitted, support).tolist()
        if changes != user.changes:
            state = self.model.state_of(support)
        return Interest(state, tuple(surprises), earlier, changes)
