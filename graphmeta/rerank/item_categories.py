"""Categories of items, from a column of what is known of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from graphmeta.errors import DataError
from graphmeta.ranking.item_filters import SEPARATOR


def item_categories(column: pd.Series[Any]) -> Tensor:
    """Return which categories each item is in, for `CalibratedReranker`.

    Args:
        column: A column of a recommender's `item_table`, such as `model.item_table["genres"]`: a
            text, with tokens joined by `|` where an item is in several categories, or a list of
            them. A missing value is in none.

    Shapes:
        output: float32, `[n_items, n_categories]`; the categories in the order of their names.

    Raises:
        DataError: No item is in any category.
    """
    each = column.map(_tokens)
    names = sorted({token for tokens in each for token in tokens})
    if not names:
        raise DataError(f"column {column.name!r} holds no category; choose one of texts or lists")
    place = {name: number for number, name in enumerate(names)}
    out = torch.zeros(len(column), len(names))
    for row, tokens in enumerate(each):
        out[row, [place[token] for token in tokens]] = 1.0
    return out


def _tokens(value: Any) -> list[str]:
    """Return the categories that a cell names."""
    if isinstance(value, str):
        return [token.strip() for token in value.split(SEPARATOR) if token.strip()]
    if isinstance(value, list | tuple | set | np.ndarray):
        return [str(token) for token in value]
    return [] if pd.isna(value) else [str(value)]
