"""A model in service: ids as text, many requests at once."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from graphmeta.ask import Interview
from graphmeta.data.cold_users import Support
from graphmeta.errors import ConfigError, DataError
from graphmeta.explain import explain_ranking
from graphmeta.explain.explanation import Explanation
from graphmeta.ranking import ColdStartRecommender, UserState
from graphmeta.ranking.few_shot_scorer import Source
from graphmeta.ranking.histories import allowed_items
from graphmeta.ranking.item_filters import matching_items
from graphmeta.serve.store import Event
from graphmeta.tasks.episode import RATES

# Training times above this are seconds since 1970 (here: 1973), below it an order.
LEAST_SECONDS = 1e8
MOST_KEPT, MOST_FILTERS = 2**16, 64


@dataclass(frozen=True)
class RankRequest:
    """What one user asks for.

    Args:
        events: What the user did, oldest first, as far as the model knows the items.
        k: How many items, at most as many as are allowed.
        allowed: Which items may be recommended.
        niche: See `ColdStartRecommender.with_niche`.
        state: The user's state, if one is at hand for this model and these events.

    Shapes:
        allowed: bool, `[n_items]`.
    """

    events: tuple[Event, ...]
    k: int
    allowed: Tensor
    niche: float = 0.0
    state: UserState | None = None


@dataclass(frozen=True)
class Ranked:
    """The best items for one user, by row of the catalogue, and the state to rank again.

    Args:
        rows: The items, best first.
        scores: Their scores.
        source: What ranked, as in `Ranking`.
        state: The user's state, made now or given; None for models without.
    """

    rows: tuple[int, ...]
    scores: tuple[float, ...]
    source: Source
    state: UserState | None = None


class ServedModel:
    """Ranks, explains and asks, with the items' ids as text.

    It is not changed by anything that is asked of it.

    Args:
        model: A fitted recommender.
        title: Column of its item table with titles; by default `title` or `name`, where there is
            one.

    Raises:
        ConfigError: There is no such column.
        DataError: The recommender is not fitted, or two ids have the same text.
    """

    def __init__(self, model: ColdStartRecommender, *, title: str | None = None) -> None:
        self.model = model
        self.ids = [str(item) for item in model.item_ids.ids]
        self.row_of = {item: row for row, item in enumerate(self.ids)}
        if len(self.row_of) < len(self.ids):
            raise DataError("two items have the same id as text; give the items other ids")
        self.fingerprint = model.fingerprint
        self.table = model.item_table
        self.titles = _titles(self.table, title, self.ids)
        self._folded = [title.casefold() for title in self.titles]
        self.popularity = model.fitted.head.vote.item_degree.cpu()
        edges = model.train_graph[RATES]
        self._has_time = "time" in edges and bool(edges.time.max() > LEAST_SECONDS)
        self._interview = Interview(model)
        # The same items are answered again and again, and a row of a table is read slowly.
        self._about = lru_cache(MOST_KEPT)(self._read_about)
        self._matching = lru_cache(MOST_FILTERS)(self._read_matching)

    @classmethod
    def load(
        cls, path: str | Path, *, title: str | None = None, device: str = "cpu"
    ) -> ServedModel:
        """Read a bundle and rank once, so that the first user does not wait for it.

        Raises:
            DataNotFoundError: There is no such file.
            DataError: The file is damaged or of a later format.
            ConfigError: It needs a learner of its own, or there is no such column or device.
        """
        served = cls(ColdStartRecommender.load(path, device=device), title=title)
        for n in (0, 3):
            events = tuple(Event(item, "interaction", None, 0.0) for item in served.ids[:n])
            served.rank([RankRequest(events, 1, served.allowed(events))])
        return served

    def known(self, events: Iterable[Event]) -> tuple[Event, ...]:
        """Return the interactions with items of the catalogue, which are what the model reads."""
        return tuple(e for e in events if e.kind == "interaction" and e.item in self.row_of)

    def unknown(self, items: Iterable[str]) -> list[str]:
        """Return the ids that are not in the catalogue, each once."""
        return [item for item in dict.fromkeys(items) if item not in self.row_of]

    def allowed(
        self,
        events: Iterable[Event],
        *,
        include: Iterable[str] | None = None,
        exclude: Iterable[str] = (),
        filters: dict[str, Any] | None = None,
    ) -> Tensor:
        """Return which items may be recommended: none that the user knows or dismissed.

        Args:
            events: What the user did; unknown items are passed over.
            include: The only items that may be; None for all.
            exclude: Items that may not be.
            filters: What items must be like, as JSON has it.

        Shapes:
            output: bool, `[n_items]`.

        Raises:
            UnknownIdError: An included or excluded item is not in the catalogue.
            ConfigError: A filter does not fit.
        """
        ids = self.model.item_ids
        allowed = allowed_items(
            ids,
            include=None if include is None else self._caller_ids(include),
            exclude=self._caller_ids(exclude),
        )
        if filters:
            allowed &= self._matching(json.dumps(filters, sort_keys=True))
        gone = [e.item for e in events if e.kind != "unknown" and e.item in self.row_of]
        allowed[[self.row_of[item] for item in gone]] = False
        return allowed

    def _read_matching(self, filters: str) -> Tensor:
        return matching_items(self.table, json.loads(filters))

    def _caller_ids(self, items: Iterable[str]) -> list[Any]:
        """Return the model's own ids; unknown ones stay texts, which it then refuses by name."""
        ids = self.model.item_ids.ids
        return [ids[self.row_of[item]] if item in self.row_of else item for item in items]

    def rank(self, requests: Sequence[RankRequest]) -> list[Ranked]:
        """Rank for many users at once: those who are alike in what is read of them go together."""
        groups: dict[tuple[bool, float], list[int]] = defaultdict(list)
        for number, request in enumerate(requests):
            events = request.events
            is_rated = bool(events) and all(event.rating is not None for event in events)
            groups[is_rated, request.niche].append(number)
        found: dict[int, Ranked] = {}
        for (is_rated, niche), numbers in groups.items():
            some = [requests[number] for number in numbers]
            found |= zip(numbers, self._rank_alike(some, is_rated, niche), strict=True)
        return [found[number] for number in range(len(requests))]

    def _rank_alike(
        self, requests: Sequence[RankRequest], is_rated: bool, niche: float
    ) -> list[Ranked]:
        support = self._support(requests, is_rated)
        states = self._states(requests, support)
        scorer = (self.model.with_niche(niche) if niche else self.model).fitted
        items, scores = scorer.best(
            support,
            k=max(request.k for request in requests),
            allowed=torch.stack([request.allowed for request in requests]),
            weights=[state.weights for state in states],
        )
        return [
            Ranked(tuple(rows[: request.k]), tuple(of[: request.k]), state.source, state)
            for request, rows, of, state in zip(
                requests, items.tolist(), scores.tolist(), states, strict=True
            )
        ]

    def _support(self, requests: Sequence[RankRequest], is_rated: bool) -> Support:
        """Return what the users have shown, padded to equal length."""
        width = max(len(request.events) for request in requests)

        def padded(of: Callable[[Event], float], pad: float, dtype: torch.dtype) -> Tensor:
            rows = [[of(event) for event in request.events] for request in requests]
            rows = [row + [pad] * (width - len(row)) for row in rows]
            return torch.tensor(rows, dtype=dtype).view(len(requests), width)

        return Support(
            padded(lambda event: self.row_of[event.item], -1, torch.long),
            padded(lambda event: event.rating or 0.0, 0.0, torch.float32) if is_rated else None,
            padded(lambda event: event.time, 0.0, torch.float64) if self._has_time else None,
        )

    def _states(self, requests: Sequence[RankRequest], support: Support) -> list[UserState]:
        """Return the users' states; those without one are adapted together."""
        states = [request.state for request in requests]
        new = [i for i, state in enumerate(states) if state is None]
        own = self.model.fitted.adapt(support[torch.tensor(new)]) if new else []
        for i, weights in zip(new, own, strict=True):
            n = len(requests[i].events)
            columns = {
                name: value[i : i + 1, :n]
                for name in ("item_index", "rating", "time")
                if (value := getattr(support, name)) is not None
            }
            source = self.model.fitted.source(n)
            states[i] = UserState(Support(**columns), weights, source, self.fingerprint)
        return [state for state in states if state is not None]

    def explain(self, request: RankRequest, *, n_paths: int) -> Explanation:
        """Rank for one user and say why; see `explain_ranking`."""
        model = self.model.with_niche(request.niche) if request.niche else self.model
        ids = self.model.item_ids.ids
        options: dict[str, Any] = {}
        if request.events and all(event.rating is not None for event in request.events):
            options["ratings"] = [event.rating for event in request.events]
        if self._has_time:
            options["times"] = [event.time for event in request.events]
        history = [ids[self.row_of[event.item]] for event in request.events]
        include = ids[request.allowed.numpy()]
        return explain_ranking(
            model, history, request.k, n_paths=n_paths, include=include, **options
        )

    def ask(self, events: Iterable[Event], n: int) -> list[int]:
        """Return the rows of the items to ask about next; fewer than n where fewer are left."""
        ids = self.model.item_ids
        asked = {e.item: e.kind for e in events if e.item in self.row_of}
        known = [ids.ids[self.row_of[item]] for item, k in asked.items() if k == "interaction"]
        unknown = [ids.ids[self.row_of[item]] for item, k in asked.items() if k != "interaction"]
        n = min(n, len(self.ids) - len(asked))
        rows: list[int] = []
        if n:
            rows = ids.to_index(self._interview.next(known, unknown, n)).tolist()
        return rows

    def about(self, row: int) -> dict[str, Any]:
        """Return what is known of an item, as JSON has it; missing values are left out."""
        return self._about(row)

    def _read_about(self, row: int) -> dict[str, Any]:
        if self.table is None:
            return {}
        found = self.table.iloc[row].to_dict()
        return {str(name): _plain(value) for name, value in found.items() if not _is_missing(value)}

    def search(self, text: str, n: int) -> list[int]:
        """Return the rows of items whose title has every word of the text, known ones first.

        Args:
            text: Words in any order, or an id; upper and lower case are the same.
            n: Most items.
        """
        words = text.casefold().split()
        hits = {
            row for row, title in enumerate(self._folded) if all(word in title for word in words)
        }
        if text.strip() in self.row_of:
            hits.add(self.row_of[text.strip()])
        return sorted(hits, key=lambda row: (-float(self.popularity[row]), row))[:n]


def _titles(table: pd.DataFrame | None, title: str | None, ids: list[str]) -> list[str]:
    if title is None:
        title = next((n for n in ("title", "name") if table is not None and n in table), None)
        if title is None:
            return ids
    if table is None or title not in table:
        raise ConfigError(f"the bundle has no item column {title!r}; see describe_items")
    return [
        item if _is_missing(value) else str(value)
        for value, item in zip(table[title], ids, strict=True)
    ]


def _is_missing(value: Any) -> bool:
    return value is None or (pd.api.types.is_scalar(value) and bool(pd.isna(value)))


def _plain(value: Any) -> Any:
    if isinstance(value, str | bool | int | float):
        return value
    if hasattr(value, "tolist"):
        return value.tolist()
    return str(value)
