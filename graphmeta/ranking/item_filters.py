"""What is known of the items, such as titles and genres, and which items a caller asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from graphmeta.data.id_map import IdMap
from graphmeta.data.table import require_columns
from graphmeta.errors import ConfigError, DataError

Mask = np.ndarray[Any, np.dtype[np.bool_]]
# Between the tokens of one cell, as in `feature_matrix`.
SEPARATOR = "|"
RANGE = {"min", "max"}


def aligned_table(frame: pd.DataFrame, item_ids: IdMap, *, item: str) -> pd.DataFrame:
    """Return the other columns of a table with an item a row, in the order of the catalogue.

    Items of the catalogue without a row have missing values; rows of other items are left out.

    Args:
        frame: A row per item.
        item_ids: The catalogue.
        item: Column with item ids.

    Raises:
        DataError: There is no such column or no other one, an id comes twice, or none is in the
            catalogue.
    """
    require_columns(frame.columns, [item])
    if not all(isinstance(name, str) for name in frame.columns) or len(frame.columns) < 2:
        raise DataError("the item table needs a column besides the ids, and texts as column names")
    row = IdMap(frame[item].to_numpy()).find(item_ids.ids).numpy()
    if len(row) and (row < 0).all():
        raise DataError(f"no id of column {item!r} is in the catalogue; check the type of the ids")
    others = frame.drop(columns=item).reset_index(drop=True)
    return others.reindex(pd.Index(row).where(row >= 0, -1)).reset_index(drop=True)


def matching_items(table: pd.DataFrame | None, filters: Mapping[str, Any]) -> Tensor:
    """Return which items have all that is asked for; bool, `[n_items]`.

    Args:
        table: What `aligned_table` returned; None where nothing is known of the items.
        filters: For each column a value, or a list of which one is enough, or
            `{"min": ..., "max": ...}` with either or both, inclusive. A text with tokens joined
            by `|`, or a list, has each of its tokens. A missing value matches nothing.

    Raises:
        ConfigError: There is no table or no such column, or a value does not fit the column.
    """
    if table is None:
        raise ConfigError(
            "filters need what is known of the items; call describe_items(table) after fit"
        )
    found = np.ones(len(table), dtype=bool)
    for name, wanted in filters.items():
        if name not in table.columns:
            known = ", ".join(map(str, table.columns))
            raise ConfigError(f"no column {name!r} to filter by among {known}")
        found &= (
            _in_range(table[name], wanted)
            if isinstance(wanted, Mapping)
            else _is_any(
                table[name], list(wanted) if isinstance(wanted, list | tuple | set) else [wanted]
            )
        )
    return torch.from_numpy(found)


def _in_range(column: pd.Series[Any], wanted: Mapping[str, Any]) -> Mask:
    if not wanted or not set(wanted) <= RANGE:
        raise ConfigError(
            f"the filter {dict(wanted)!r} of column {column.name!r} is no range; give 'min', "
            "'max' or both"
        )
    found = column.notna()
    try:
        if "min" in wanted:
            found &= (column >= wanted["min"]).fillna(False)
        if "max" in wanted:
            found &= (column <= wanted["max"]).fillna(False)
    except TypeError as error:
        raise ConfigError(
            f"column {column.name!r} holds {column.dtype}, which does not compare with "
            f"{dict(wanted)!r}; give values of that kind"
        ) from error
    return found.to_numpy(dtype=bool)


def _is_any(column: pd.Series[Any], wanted: list[Any]) -> Mask:
    tokens = column.map(_tokens).explode()
    hits = tokens.isin(wanted).to_numpy(bool) & tokens.notna().to_numpy()
    return np.bincount(tokens.index[hits], minlength=len(column)) > 0


def _tokens(cell: Any) -> list[Any]:
    if isinstance(cell, str):
        return list(dict.fromkeys([cell, *(token.strip() for token in cell.split(SEPARATOR))]))
    return list(cell) if isinstance(cell, list | tuple | set | np.ndarray) else [cell]
