"""From a table of interactions to the bipartite graph."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch_geometric.data import HeteroData

from graphmeta.data.bipartite_graph import bipartite_graph
from graphmeta.data.features import FeatureMatrix, aligned_features
from graphmeta.data.id_map import IdMap
from graphmeta.errors import ConfigError, DataError

Features = FeatureMatrix | np.ndarray[Any, np.dtype[Any]] | torch.Tensor


def from_frame(
    frame: pd.DataFrame,
    *,
    user: str = "user",
    item: str = "item",
    rating: str | None = None,
    time: str | None = None,
    min_rating: float | None = None,
    user_features: Features | None = None,
    item_features: Features | None = None,
) -> HeteroData:
    """Turn a table with one interaction a row into a bipartite graph.

    Users and items are numbered by first appearance. Rows rated below `min_rating` are
    dropped first (they are no interactions); of rows with the same pair the first is kept.
    Dates become seconds since 1970. Ids that are whole floats become integers.

    Args:
        frame: One interaction a row.
        user: Column with user ids.
        item: Column with item ids.
        rating: Column with ratings, or None.
        time: Column with numbers or dates, or None.
        min_rating: Lowest rating that counts as an interaction.
        user_features: A `FeatureMatrix`, matched by id, or a dense matrix in row order.
        item_features: The same for items.

    Raises:
        DataError: The table is empty, or a column is missing or holds values that cannot
            be used: missing ids, ids beyond int64, floats of 2**53 or more as ids, ratings
            that are not finite numbers, negative times, a single user or a single item.
        ConfigError: `min_rating` was given without `rating`.
    """
    if min_rating is not None and rating is None:
        raise ConfigError("min_rating needs ratings; name the rating column with rating=")
    require_columns(frame.columns, [c for c in (user, item, rating, time) if c is not None])
    if not len(frame):
        raise DataError("the table of interactions is empty; give at least one row")
    ratings = None if rating is None else _rating_values(frame[rating], rating)
    if ratings is not None and min_rating is not None:
        frame, ratings = _rated(frame, ratings, min_rating)
    times = None if time is None else time_values(frame[time], time)
    users, user_ids = _numbered(frame[user], user, "user")
    items, item_ids = _numbered(frame[item], item, "item")
    return bipartite_graph(
        torch.from_numpy(np.stack([users, items])),
        user_ids=user_ids,
        item_ids=item_ids,
        rating=None if ratings is None else torch.from_numpy(ratings),
        time=None if times is None else torch.from_numpy(times),
        user_x=aligned_features(user_features, user_ids, name="user"),
        item_x=aligned_features(item_features, item_ids, name="item"),
        item_x_names=(
            IdMap(item_features.names) if isinstance(item_features, FeatureMatrix) else None
        ),
    )


def require_columns(present: Iterable[Any], wanted: Iterable[str]) -> None:
    """Check that every wanted column is there.

    Raises:
        DataError: One is not, or twice; the message lists those present and the nearest name.
    """
    labels = list(present)
    names = [str(label) for label in labels]
    for column in wanted:
        if labels.count(column) > 1:
            raise DataError(f"column {column!r} is there {labels.count(column)} times; rename one")
        if column not in labels:
            near = difflib.get_close_matches(str(column), names, n=1)
            hint = f"; did you mean {labels[names.index(near[0])]!r}?" if near else ""
            raise DataError(f"no column {column!r} among {', '.join(names)}{hint}")


def _rated(
    frame: pd.DataFrame, ratings: np.ndarray[Any, np.dtype[Any]], min_rating: float
) -> tuple[pd.DataFrame, np.ndarray[Any, np.dtype[Any]]]:
    keep = ratings >= min_rating
    if not keep.any():
        raise DataError(
            f"no rating reaches min_rating={min_rating:g} (the largest is {ratings.max():g}); "
            "lower it"
        )
    return frame[keep], ratings[keep]


def _numbered(
    column: pd.Series[Any], name: str, kind: str
) -> tuple[np.ndarray[Any, np.dtype[Any]], IdMap]:
    missing = column.isna().to_numpy()
    if missing.any():
        raise DataError(
            f"{int(missing.sum())} of {len(column)} ids in column {name!r} are missing "
            f"(first: row {int(missing.argmax())}); drop those rows first"
        )
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(column.cat.categories.dtype)
    if pd.api.types.is_float_dtype(column.dtype):
        values = column.to_numpy(dtype=np.float64)
        if not (np.isfinite(values) & (values == np.floor(values))).all():
            raise DataError(f"column {name!r} holds fractional {kind} ids; use whole numbers")
        if (np.abs(values) >= 2**53).any():
            raise DataError(
                f"column {name!r} holds {kind} ids as floats of 2**53 or more, which are not "
                "exact; give them as integers or strings"
            )
        column = column.astype(np.int64)
    elif pd.api.types.is_integer_dtype(column.dtype):
        if len(column) and int(column.max()) >= 2**63:
            raise DataError(
                f"column {name!r} holds {kind} ids beyond int64 (largest: {int(column.max())}); "
                "give them as strings"
            )
        column = column.astype(np.int64)
    codes, ids = pd.factorize(column)
    if len(ids) < 2:
        raise DataError(
            f"column {name!r} holds one {kind} only ({ids.tolist()[0]!r}); "
            "ranking needs at least two"
        )
    return codes.astype(np.int64), IdMap(ids)


def numbers(column: pd.Series[Any], name: str, what: str) -> np.ndarray[Any, np.dtype[Any]]:
    """Return a column as float64.

    Args:
        column: What should be finite numbers.
        name: What messages call the column.
        what: What they call its values.

    Raises:
        DataError: Something in it is no finite number.
    """
    try:
        values = pd.to_numeric(column, errors="raise").to_numpy(dtype=np.float64, na_value=np.nan)
    except (ValueError, TypeError) as error:
        bad = column[pd.to_numeric(column, errors="coerce").isna().to_numpy()]
        first = repr(bad.iloc[0]) if len(bad) else str(column.dtype)
        raise DataError(f"{what} column {name!r} is not numeric (first: {first})") from error
    finite = np.isfinite(values)
    if not finite.all():
        row = int((~finite).argmax())
        raise DataError(
            f"{what} column {name!r} is not finite in {int((~finite).sum())} of {len(values)} "
            f"rows (first: row {row}); drop those rows first"
        )
    return values.copy()  # pandas may hand out a read-only view, which torch cannot wrap.


def time_values(column: pd.Series[Any], name: str) -> np.ndarray[Any, np.dtype[Any]]:
    """Return a column of times in seconds since 1970, or as an order from 0.

    They are numbers, dates or durations.

    Args:
        column: The times.
        name: What messages call the column.

    Raises:
        DataError: Something in it is no finite number, or negative.
    """
    if str(column.dtype).startswith("date32"):  # Arrow's days, and durations below.
        column = column.astype("datetime64[s]")
    elif str(column.dtype).startswith("duration"):
        column = column.astype("timedelta64[ns]")
    if pd.api.types.is_timedelta64_dtype(column.dtype):
        column = column.dt.total_seconds()
    elif pd.api.types.is_datetime64_any_dtype(column.dtype):
        zone_free = column.dt.tz_convert(None) if column.dt.tz is not None else column
        column = (zone_free - pd.Timestamp(0)) / pd.Timedelta(seconds=1)
    values = numbers(column, name, "time")
    if (values < 0).any():
        row = int((values < 0).argmax())
        raise DataError(
            f"time column {name!r} is negative in {int((values < 0).sum())} of {len(values)} "
            f"rows (first: row {row}, {values[row]:g}); give seconds since 1970 or an order from 0"
        )
    return values


def _rating_values(column: pd.Series[Any], name: str) -> np.ndarray[Any, np.dtype[Any]]:
    return numbers(column, name, "rating").astype(np.float32)
