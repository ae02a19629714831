"""Categories from the columns that item tables have."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from graphmeta.errors import DataError
from graphmeta.rerank import item_categories


def test_tokens_lists_and_single_values() -> None:
    wanted = [[1, 1], [0, 1], [0, 0]]
    assert item_categories(pd.Series(["Comedy|War", "War", None])).tolist() == wanted
    assert item_categories(pd.Series(["Comedy | War", "War", ""])).tolist() == wanted
    cells = pd.Series([["Comedy", "War"], np.array(["War"]), None])
    assert item_categories(cells).tolist() == wanted
    assert item_categories(pd.Series([2001.0, 1999.0, np.nan])).tolist() == [[0, 1], [1, 0], [0, 0]]


def test_none_at_all() -> None:
    with pytest.raises(DataError, match="column 'genres' holds no category"):
        item_categories(pd.Series([None, ""], name="genres"))
