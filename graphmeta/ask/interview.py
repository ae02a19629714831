"""Asks one new user, in the caller's ids."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from graphmeta.ask.adaptive import AdaptiveQuestions
from graphmeta.ask.decision_tree import DecisionTreeQuestions
from graphmeta.ask.questions import Answers, Questions
from graphmeta.ask.static import (
    EntropyQuestions,
    GreedyQuestions,
    PopularityEntropyQuestions,
    PopularityQuestions,
    RandomQuestions,
)
from graphmeta.errors import ConfigError, DataError
from graphmeta.ranking.fitted_recommender import FittedRecommender

KINDS: tuple[type[Questions], ...] = (
    RandomQuestions,
    PopularityQuestions,
    EntropyQuestions,
    PopularityEntropyQuestions,
    GreedyQuestions,
    DecisionTreeQuestions,
    AdaptiveQuestions,
)
QUESTIONS = {kind.name: kind for kind in KINDS}


class Interview:
    """Says what to ask a new user next; it keeps nothing of the user.

    What the user knows and likes is a history for `recommend`. A "don't know" is an answer as well:
    it costs a question, and tells which items to ask about instead.

    Args:
        model: A fitted recommender.
        questions: A way of asking by its name, see `QUESTIONS`, or one fitted to the recommender's
            training graph.

    Raises:
        ConfigError: There is no way of asking of that name.
        DataError: The recommender is not fitted.
    """

    def __init__(self, model: FittedRecommender, questions: str | Questions = "adaptive") -> None:
        graph = model.train_graph
        if isinstance(questions, str):
            if questions not in QUESTIONS:
                raise ConfigError(f"questions={questions!r} must be one of {tuple(QUESTIONS)}")
            questions = QUESTIONS[questions](graph)
        self.questions = questions
        self._ids = model.item_ids

    def next(self, known: Iterable[Any] = (), unknown: Iterable[Any] = (), n: int = 1) -> list[Any]:
        """Return the ids of the n items to ask about next, the best first.

        Args:
            known: Ids of items that the user knows and likes, asked or not.
            unknown: Ids of items that the user was asked about and does not know.
            n: How many items.

        Raises:
            UnknownIdError: An id is not in the catalogue.
            DataError: An item is known and unknown.
            ConfigError: `n` is not positive, or exceeds the items left to ask about.
        """
        yes, no = self._ids.to_index(list(known)), self._ids.to_index(list(unknown))
        both = set(yes.tolist()) & set(no.tolist())
        if both:
            item = self._ids.ids[min(both)]
            raise DataError(f"{item!r} is both known and unknown; leave out one of them")
        answers = Answers.none(1, len(self._ids))
        answers.asked[0, yes], answers.asked[0, no], answers.known[0, yes] = True, True, True
        left = int((~answers.asked).sum())
        if not 1 <= n <= left:
            raise ConfigError(f"n={n} is outside 1..{left}, the items left to ask about; change n")
        found: list[Any] = self._ids.to_ids(self.questions.next(answers, n)[0]).tolist()
        return found
