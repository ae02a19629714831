"""Node features: numeric, categorical and multi-hot columns as one matrix with ids."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from graphmeta.data.id_map import IdMap
from graphmeta.errors import DataError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FeatureMatrix:
    """Features of nodes that are known by their external ids.

    Shapes:
        x: float32, `[n_ids, n_features]`.
        names: one name a column of `x`, such as `genres=Comedy`.
    """

    id_map: IdMap
    x: Tensor
    names: tuple[str, ...]


def feature_matrix(
    frame: pd.DataFrame,
    *,
    id: str,
    numeric: Sequence[str] = (),
    categorical: Sequence[str] = (),
    multi_hot: Sequence[str] = (),
    separator: str = "|",
    min_count: int = 1,
) -> FeatureMatrix:
    """Encode columns of a table with one node a row.

    Numeric columns are standardised (zero mean, unit variance; missing values are the
    mean, so 0). Categorical columns become one indicator a category, multi-hot columns one
    indicator a token, of lists or of text that `separator` splits; a missing value has none.
    Categories and tokens are sorted; those that fewer than `min_count` rows have are left out.

    Raises:
        DataError: A column is missing or not numeric, a categorical one holds lists, an id is
            missing or appears twice, no feature column was named, or `min_count` is below 1 or
            leaves nothing of one.
    """
    for column in (id, *numeric, *categorical, *multi_hot):
        if column not in frame.columns:
            present = ", ".join(map(str, frame.columns))
            raise DataError(f"no column {column!r} among {present}")
    if not (numeric or categorical or multi_hot):
        raise DataError("no feature column was named; give numeric, categorical or multi_hot")
    if min_count < 1:
        raise DataError(f"min_count={min_count} must be at least 1")
    blocks: list[np.ndarray[Any, np.dtype[Any]]] = []
    names: list[str] = []
    for column in numeric:
        blocks.append(_standardised(frame[column], column))
        names.append(column)
    for column, split in [*((c, None) for c in categorical), *((c, separator) for c in multi_hot)]:
        block, labels = _indicators(frame[column], split, min_count)
        blocks.append(block)
        names.extend(f"{column}={label}" for label in labels)
    x = torch.from_numpy(np.concatenate(blocks, axis=1))
    return FeatureMatrix(IdMap(frame[id].to_numpy()), x, tuple(names))


def aligned_features(
    features: FeatureMatrix | np.ndarray[Any, np.dtype[Any]] | Tensor | None,
    ids: IdMap,
    *,
    name: str,
) -> Tensor | None:
    """Return features in the row order of `ids`; nodes without a row get zeros.

    How many nodes had none is logged as a warning. A plain matrix must already be in order.

    Shapes:
        output: float32, `[len(ids), n_features]` or None.

    Raises:
        DataError: The matrix is not two-dimensional, not finite, has another number of
            rows, or no id matches.
    """
    if features is None:
        return None
    if isinstance(features, FeatureMatrix):
        row = features.id_map.find(ids.ids)
        missing = int((row < 0).sum())
        if missing == len(ids):
            raise DataError(f"no {name} id has features; check the type of the feature ids")
        if missing:
            logger.warning("%d of %d %ss have no features; they get zeros", missing, len(ids), name)
        x = features.x[row.clamp(min=0)] * (row >= 0).unsqueeze(1)
    else:
        x = torch.as_tensor(features)
    if x.dim() != 2 or x.size(0) != len(ids):
        raise DataError(
            f"{name} features have shape {tuple(x.shape)}; expected [{len(ids)}, n_features], "
            "or pass a FeatureMatrix to match by id"
        )
    if not bool(torch.isfinite(x).all()):
        raise DataError(f"{name} features hold NaN or infinity; fill them first")
    return x.float()


def _standardised(column: pd.Series[Any], name: str) -> np.ndarray[Any, np.dtype[Any]]:
    try:
        values = pd.to_numeric(column, errors="raise").to_numpy(dtype=np.float64, na_value=np.nan)
    except (ValueError, TypeError) as error:
        raise DataError(f"feature column {name!r} is not numeric: {error}") from error
    values = np.where(column.isna().to_numpy(), np.nan, values)  # A missing date is a number yet.
    if np.isinf(values).any():
        raise DataError(f"feature column {name!r} holds infinity; replace it first")
    known = values[~np.isnan(values)]
    if not len(known):
        raise DataError(f"feature column {name!r} holds no number; leave it out")
    if np.ptp(known) == 0:  # Whose mean may be off by rounding, and nothing else be left.
        return np.zeros((len(values), 1), dtype=np.float32)
    scaled = (values - known.mean()) / known.std()
    return np.asarray(np.nan_to_num(scaled), dtype=np.float32)[:, None]


def _indicators(
    column: pd.Series[Any], separator: str | None, min_count: int
) -> tuple[np.ndarray[Any, np.dtype[Any]], list[str]]:
    text = _tokens(column.reset_index(drop=True), separator)
    text = text[text.notna().to_numpy()].str.strip()
    text = text[(text != "").to_numpy(dtype=bool)]
    rows = pd.DataFrame({"row": text.index, "label": text.to_numpy()}).drop_duplicates()
    n_rows = rows["label"].map(rows["label"].value_counts())
    rows = rows[n_rows >= min_count]
    if min_count > 1 and rows.empty:
        raise DataError(f"no value of {column.name!r} is in min_count={min_count} rows; lower it")
    codes, labels = pd.factorize(rows["label"], sort=True)
    out = np.zeros((len(column), len(labels)), dtype=np.float32)
    out[rows["row"].to_numpy(), codes] = 1.0
    return out, [str(label) for label in labels]


def _tokens(column: pd.Series[Any], separator: str | None) -> pd.Series[Any]:
    """Return the tokens of a column as strings, each with the row that it is of."""
    is_list = np.array([isinstance(one, list | tuple | set | np.ndarray) for one in column], bool)
    if separator is None:
        if is_list.any():
            raise DataError(f"feature column {column.name!r} holds lists; name it in multi_hot=")
        return column.astype("string")
    split = column[~is_list].astype("string").str.split(separator, regex=False).explode()
    if not is_list.any():
        return split
    return pd.concat([split, column[is_list].astype(object).explode().astype("string")])
