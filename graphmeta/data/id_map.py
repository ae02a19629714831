"""The two-way map between a caller's ids and row numbers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from graphmeta.errors import DataError, UnknownIdError


class IdMap:
    """Maps external ids (`*_id`) to consecutive row numbers (`*_index`) and back.

    Row numbers follow the order of `ids`. Lookups are hash based and vectorised.

    Args:
        ids: Distinct, non-missing ids; strings, integers or any hashable scalars.

    Raises:
        DataError: An id is missing or appears twice.
    """

    def __init__(self, ids: Iterable[Any]) -> None:
        index = pd.Index(ids if isinstance(ids, pd.Index | np.ndarray) else list(ids))
        if index.hasnans:
            raise DataError("an id is missing (NaN or None); drop those rows first")
        if not index.is_unique:
            twice = index[index.duplicated()].tolist()[0]
            raise DataError(f"id {twice!r} appears twice; ids must be distinct")
        self._ids = index

    def __len__(self) -> int:
        return len(self._ids)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, IdMap) and self._ids.equals(other._ids)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"IdMap({len(self)} ids)"

    @property
    def ids(self) -> np.ndarray[Any, np.dtype[Any]]:
        """External ids, row number by row number."""
        return np.asarray(self._ids.to_numpy())

    def find(self, ids: Iterable[Any]) -> Tensor:
        """Return row numbers, -1 where an id is unknown.

        Shapes:
            output: int64, `[len(ids)]`.
        """
        wanted = ids if isinstance(ids, pd.Index | np.ndarray) else list(ids)
        return torch.from_numpy(np.asarray(self._ids.get_indexer(pd.Index(wanted)))).long()

    def to_index(self, ids: Iterable[Any]) -> Tensor:
        """Return row numbers.

        Shapes:
            output: int64, `[len(ids)]`.

        Raises:
            UnknownIdError: An id is not in the map; the message names the first ones.
        """
        wanted = ids if isinstance(ids, pd.Index | np.ndarray) else list(ids)
        index = self.find(wanted)
        if bool((index < 0).any()):
            where = torch.nonzero(index < 0).flatten()[:3].tolist()
            names = ", ".join(map(repr, pd.Index(wanted)[where].tolist()))
            raise UnknownIdError(
                f"{int((index < 0).sum())} of {len(index)} ids are unknown (first: {names}); "
                f"check their type (the map holds {self._ids.dtype}) or drop them"
            )
        return index

    def to_ids(self, index: Tensor) -> np.ndarray[Any, np.dtype[Any]]:
        """Return external ids of row numbers, in the shape of `index`."""
        return np.asarray(self._ids.to_numpy()[index.detach().cpu().numpy()])

    def select(self, index: Tensor) -> IdMap:
        """Return a map of the given rows, renumbered from 0 in that order."""
        return IdMap(self._ids[index.detach().cpu().numpy()])
