"""Shows one new user items that are worth a try, in the caller's ids."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from graphmeta.errors import ConfigError, DataError
from graphmeta.explore.belief import Belief, Scales
from graphmeta.explore.policies import EXPLORING, Corrected, Greedy, Policy
from graphmeta.explore.session_batch import SessionBatch
from graphmeta.ranking.fitted_recommender import FittedRecommender
from graphmeta.ranking.histories import allowed_items

POLICIES: dict[str, type[Policy]] = {Greedy.name: Greedy, Corrected.name: Corrected, **EXPLORING}


class Explorer:
    """Says what to show a new user next; it keeps nothing of the user.

    Args:
        model: A fitted recommender.
        policy: A way of choosing by its name, see `POLICIES`, or one of your own.
        strength: How much it explores, in the range of the policy; None for the usual.
        scales: What `fit_scales` chose for the model; None for a guess, which is not calibrated.
        seed: Draws the policy's numbers, one call after the other.

    Raises:
        ConfigError: There is no policy of that name, the strength is outside its range, there is
            one beside a policy of your own, or the model has a re-ranker.
        DataError: The recommender is not fitted.
    """

    def __init__(
        self,
        model: FittedRecommender,
        policy: str | Policy = "ucb",
        *,
        strength: float | None = None,
        scales: Scales | None = None,
        seed: int = 0,
    ) -> None:
        if isinstance(policy, str):
            if policy not in POLICIES:
                raise ConfigError(f"policy={policy!r} must be one of {tuple(POLICIES)}")
            policy = POLICIES[policy](strength)
        elif strength is not None:
            raise ConfigError("a policy has its own strength; give it there, or name the policy")
        if model.reranker is not None:
            raise ConfigError(
                "a policy orders the items itself, after which no re-ranker would count; pass "
                "model.with_reranker(None)"
            )
        self.policy, self.ids = policy, model.item_ids
        self.belief = Belief(model.fitted, scales or Scales.guess(model.train_graph))
        self._generator = torch.Generator().manual_seed(seed)

    def session(self, history: Iterable[Any] = ()) -> ExploringSession:
        """Return a session with one user, who has a history or none."""
        return ExploringSession(self, history)

    def next(
        self,
        taken: Iterable[Any] = (),
        refused: Iterable[Any] = (),
        n: int = 1,
        *,
        include: Iterable[Any] | None = None,
        exclude: Iterable[Any] = (),
    ) -> list[Any]:
        """Return the ids of the n items to show next, none of them known, the best first.

        Args:
            taken: Ids of items of the user's history, and of those shown and taken, oldest first.
            refused: Ids of items that were shown and not taken.
            n: How many items.
            include: Ids of the only items that may be shown; None for all.
            exclude: Ids of items that may not be.

        Raises:
            UnknownIdError: An id is not in the catalogue.
            DataError: An item is taken and refused.
            ConfigError: `n` is not positive, or exceeds the items left to show.
        """
        yes, no = (self.ids.to_index(list(dict.fromkeys(ids))) for ids in (taken, refused))
        both = set(yes.tolist()) & set(no.tolist())
        if both:
            item = self.ids.ids[min(both)]
            raise DataError(f"{item!r} is both taken and refused; leave out one of them")
        closed = ~allowed_items(self.ids, include=include, exclude=exclude)
        closed[torch.cat([yes, no])] = True
        left = int((~closed).sum())
        if not 1 <= n <= left:
            raise ConfigError(f"n={n} is outside 1..{left}, the items left to show; change n")
        user = SessionBatch(self.belief, yes.unsqueeze(0))
        user.answer(no.unsqueeze(0), torch.zeros(1, len(no), dtype=torch.bool))
        slate = self.policy.slate(user.posterior, closed.unsqueeze(0), n, self._generator)
        found: list[Any] = self.ids.to_ids(slate[0]).tolist()
        return found


class ExploringSession:
    """One user's session: what to show next, and what came of it.

    Args:
        explorer: Chooses.
        history: Ids of items that the user has already, oldest first.

    Attributes:
        taken: Ids of the history and of what was taken since, a history for `recommend`.
        refused: Ids of what was shown and not taken.
    """

    def __init__(self, explorer: Explorer, history: Iterable[Any] = ()) -> None:
        self._explorer = explorer
        self.taken: list[Any] = list(history)
        self.refused: list[Any] = []
        self._open: list[Any] = []

    def next(self, n: int = 1, **limits: Any) -> list[Any]:
        """Return the ids of the n items to show next, as `Explorer.next` chooses them.

        What was shown before and not answered counts as not taken.

        Args:
            n: How many items.
            limits: `include` and `exclude`, as there.

        Raises:
            UnknownIdError: An id is not in the catalogue.
            ConfigError: `n` is not positive, or exceeds the items left to show.
        """
        refused = [*self.refused, *self._open]
        # Which may raise: then the slate stays open.
        found = self._explorer.next(self.taken, refused, n, **limits)
        self.answer(())
        self._open = found
        return list(found)

    def answer(self, taken: Iterable[Any]) -> None:
        """Say which of the items shown were taken; the others were not.

        Raises:
            DataError: An item is not on the slate that is open.
        """
        chosen = list(dict.fromkeys(taken))
        for item in chosen:
            if item not in self._open:
                raise DataError(f"{item!r} is not among the items shown last; call next first")
        self.taken += chosen
        self.refused += [item for item in self._open if item not in chosen]
        self._open = []
