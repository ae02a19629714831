"""What new users have shown, in the caller's ids, read against the catalogue."""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from graphmeta.data.cold_users import Support
from graphmeta.data.id_map import IdMap
from graphmeta.data.table import numbers, require_columns, time_values
from graphmeta.errors import ConfigError, DataError, UnknownIdError
from graphmeta.ranking.item_filters import matching_items

OnUnknown = Literal["raise", "warn", "drop"]
Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Histories:
    """Users' known interactions, oldest first, each item once.

    Args:
        users: The users' ids.
        known: A row per interaction: the user's number in `users`, the item's row in the
            catalogue as `item` and, where given, `rating` and `time`; a user's rows follow each
            other.
        unknown: Ids that are not in the catalogue and were left out.
    """

    users: pd.Index[Any]
    known: pd.DataFrame
    unknown: tuple[Any, ...] = ()

    def blocks(self, size: int) -> Iterator[tuple[Array, Support]]:
        """Yield at most `size` users with equally long histories at a time, with their numbers."""
        lengths = np.bincount(self.known["user"], minlength=len(self.users))
        starts = np.concatenate([[0], lengths.cumsum()])
        for length in np.unique(lengths):
            users = np.flatnonzero(lengths == length)
            for start in range(0, len(users), size):
                some = users[start : start + size]
                yield some, self._support(starts[some][:, None] + np.arange(length))

    def _support(self, rows: Array) -> Support:
        def column(name: str, dtype: type[np.generic]) -> Tensor | None:
            if name not in self.known:
                return None
            return torch.from_numpy(self.known[name].to_numpy(dtype)[rows])

        item = torch.from_numpy(self.known["item"].to_numpy(np.int64)[rows])
        return Support(item, rating=column("rating", np.float32), time=column("time", np.float64))


def one_history(
    history: Iterable[Any],
    item_ids: IdMap,
    *,
    ratings: Iterable[Any] | None = None,
    times: Iterable[Any] | None = None,
    on_unknown: OnUnknown = "raise",
) -> Histories:
    """Return one user's interactions with items of the catalogue.

    Args:
        history: Item ids.
        item_ids: The catalogue.
        ratings: A number for each item.
        times: A time for each item.
        on_unknown: See `read_histories`.

    Raises:
        DataError: The history is a text, or ratings or times do not fit it.
        UnknownIdError: An id is not in the catalogue, and `on_unknown` is "raise".
        ConfigError: `on_unknown` has no known value.
    """
    if isinstance(history, str | bytes) or not isinstance(history, Iterable):
        raise DataError(f"history is {history!r}; give a list of item ids")
    table = pd.DataFrame({"item": pd.Series(list(history), dtype=object)})
    for name, values in (("rating", ratings), ("time", times)):
        if values is None:
            continue
        column = pd.Series(list(values), dtype=None if len(table) else float)
        if len(column) != len(table):
            raise DataError(
                f"there are {len(column)} {name}s for {len(table)} items of the history; give "
                "one for each"
            )
        table[name] = column
    return read_histories(table.assign(user=0), pd.Index([0]), item_ids, on_unknown=on_unknown)


def histories_of_table(
    table: pd.DataFrame,
    item_ids: IdMap,
    *,
    user: str,
    item: str,
    rating: str | None = None,
    time: str | None = None,
    on_unknown: OnUnknown = "raise",
) -> Histories:
    """Return all users' interactions with items of the catalogue.

    Args:
        table: A row per interaction.
        item_ids: The catalogue.
        user: Column with user ids.
        item: Column with item ids.
        rating: Column with ratings, or None.
        time: Column with times, or None.
        on_unknown: See `read_histories`.

    Raises:
        DataError: A column is missing or cannot be used.
        UnknownIdError: An id is not in the catalogue, and `on_unknown` is "raise".
        ConfigError: `on_unknown` has no known value.
    """
    if not isinstance(table, pd.DataFrame):
        raise DataError(f"interactions are a {type(table).__name__}; give a pandas DataFrame")
    names = {"user": user, "item": item, "rating": rating, "time": time}
    given = {kind: name for kind, name in names.items() if name is not None}
    require_columns(table.columns, given.values())
    codes, users = pd.factorize(table[user])
    if (codes < 0).any():
        raise DataError(
            f"{int((codes < 0).sum())} of {len(table)} ids in column {user!r} are missing (first: "
            f"row {int((codes < 0).argmax())}); drop those rows first"
        )
    columns = {kind: table[name].reset_index(drop=True) for kind, name in given.items()}
    read = pd.DataFrame({**columns, "user": codes})
    return read_histories(read, pd.Index(users), item_ids, on_unknown=on_unknown)


def read_histories(
    table: pd.DataFrame,
    users: pd.Index[Any],
    item_ids: IdMap,
    *,
    on_unknown: OnUnknown,
) -> Histories:
    """Return the users' interactions with items of the catalogue.

    Args:
        table: A row per interaction: the user's number in `users`, the id of the `item` and
            perhaps `rating` and `time`. A user's rows stand oldest first, unless there is a
            time; of an item that comes again the first interaction counts.
        users: The users' ids.
        item_ids: The catalogue.
        on_unknown: What to do about ids that are not in the catalogue: raise, or leave them out
            with or without a warning.

    Raises:
        UnknownIdError: An id is not in the catalogue, and `on_unknown` is "raise".
        DataError: A rating or time is no finite number.
        ConfigError: `on_unknown` has no known value.
    """
    columns = {
        "user": table["user"].to_numpy(np.int64),
        "item": item_rows(table["item"], item_ids, on_unknown=on_unknown, name="history"),
    }
    if "rating" in table:
        columns["rating"] = numbers(table["rating"], "rating", "rating")
    if "time" in table:
        columns["time"] = time_values(table["time"], "time")
    order = [name for name in ("user", "time") if name in columns]
    read = pd.DataFrame(columns).sort_values(order, kind="stable")
    unknown = table["item"][columns["item"] < 0]
    known = read[read["item"] >= 0].drop_duplicates(["user", "item"])
    return Histories(users, known.reset_index(drop=True), tuple(unknown.unique()))


def allowed_items(
    item_ids: IdMap,
    *,
    include: Iterable[Any] | None = None,
    exclude: Iterable[Any] = (),
    filters: Mapping[str, Any] | None = None,
    item_table: pd.DataFrame | None = None,
    on_unknown: OnUnknown = "raise",
) -> Tensor:
    """Return which items may be recommended; bool, `[n_items]`.

    Args:
        item_ids: The catalogue.
        include: Ids of the only items that may be; None for all.
        exclude: Ids of items that may not be.
        filters: What the items must be like, see `matching_items`.
        item_table: What is known of the items.
        on_unknown: What to do about ids that are not in the catalogue.

    Raises:
        UnknownIdError: An id is not in the catalogue, and `on_unknown` is "raise".
        ConfigError: A filter does not fit the item table.
    """
    allowed = np.full(len(item_ids) + 1, include is None)  # The last is for the unknown.
    if include is not None:
        allowed[item_rows(include, item_ids, on_unknown=on_unknown, name="include")] = True
    allowed[item_rows(exclude, item_ids, on_unknown=on_unknown, name="exclude")] = False
    found = torch.from_numpy(allowed[:-1])
    return found & matching_items(item_table, filters) if filters else found


def item_rows(ids: Iterable[Any], item_ids: IdMap, *, on_unknown: OnUnknown, name: str) -> Array:
    """Return the rows of items, -1 for unknown ones; int64, `[len(ids)]`.

    Raises:
        UnknownIdError: An id is not in the catalogue, and `on_unknown` is "raise".
        DataError: A value can be no id.
        ConfigError: `on_unknown` has no known value.
    """
    if on_unknown not in get_args(OnUnknown):
        raise ConfigError(f"on_unknown={on_unknown!r} must be one of {get_args(OnUnknown)}")
    ids = list(ids)
    for value in ids:
        if not isinstance(value, Hashable):
            raise DataError(f"{name} holds {value!r}, which is no id; give texts or numbers")
    if on_unknown != "raise":
        rows = item_ids.find(ids).numpy()
        if on_unknown == "warn" and (rows < 0).any():
            left_out = [ids[i] for i in np.flatnonzero(rows < 0)]
            warnings.warn(
                f"{name}: {len(left_out)} of {len(ids)} ids are unknown and left out (first: "
                f"{', '.join(map(repr, left_out[:3]))})",
                UserWarning,
                stacklevel=4,
            )
        return rows
    try:
        return item_ids.to_index(ids).numpy()
    except UnknownIdError as error:
        raise UnknownIdError(f"{name}: {error}; on_unknown='drop' leaves them out") from error
