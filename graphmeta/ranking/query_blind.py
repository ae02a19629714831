"""The check that fitting does not look at what test users go on to do."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from graphmeta.data.cold_users import ColdSplit
from graphmeta.errors import DataError, ProtocolError
from graphmeta.ranking.scorer import Scorer

_Leaf = tuple[str, Any]
_OPAQUE = (FunctionType, BuiltinFunctionType, MethodType, ModuleType, type)


def check_query_blind(
    build: Callable[[ColdSplit], Scorer],
    split: ColdSplit,
    k: int,
    *,
    ignore: Collection[str] = (),
    seed: int = 0,
) -> None:
    """Fit twice, the second time with the test users' query items permuted; nothing may change.

    Everything that the fitted method holds is compared: tensors, arrays, frames, modules,
    containers and plain values, at any depth, and then its scores.

    Args:
        build: Fits a method, tuning included, as the experiment does; given the whole split.
        split: The split.
        k: Support size of the scores that are compared.
        ignore: Names of attributes, keys or columns to pass over, such as a run time.
        seed: Permutes the query items.

    Raises:
        ProtocolError: Something changed: fitting reads the test users' query, or it is not
            deterministic. The message names what changed.
        DataError: There are no two different query items to permute.
    """
    items = split.test.query_index
    generator = torch.Generator().manual_seed(seed)
    permuted = items[torch.randperm(len(items), generator=generator)]
    if permuted.equal(items):
        raise DataError(f"permuting {len(items)} query items changes nothing; use more test users")
    other = replace(split, test=replace(split.test, query_index=permuted))
    fitted, refitted = build(split), build(other)
    before, after = (dict(_leaves(x, "", frozenset(ignore), {})) for x in (fitted, refitted))
    changed = sorted(before.keys() ^ after.keys())
    changed += [p for p in before if p in after and not _is_equal(before[p], after[p])]
    support = split.test.support(k)
    if not _is_equal(fitted.score(support), refitted.score(support)):
        changed.append(f"the scores at k={k}")
    if changed:
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        raise ProtocolError(
            f"{type(fitted).__name__} changes with the test users' query items, or from fit to "
            f"fit: {', '.join(changed[:3])}{more}; fit on the training and validation users only"
        )


def _leaves(x: Any, path: str, ignore: frozenset[str], seen: dict[int, Any]) -> Iterator[_Leaf]:
    """Yield what can be compared as a whole, with the way to it."""
    if isinstance(x, str | bytes | int | float | complex | None | np.generic | np.ndarray):
        yield path, x
    elif isinstance(x, Tensor):
        yield from _tensor_leaves(x, path)
    elif id(x) not in seen and not isinstance(x, _OPAQUE):
        # What is reached twice is compared once, and cycles end. Kept, so that no id is reused.
        seen[id(x)] = x
        yield f"{path}:type", type(x).__qualname__
        for name, part in _parts(x):
            if name not in ignore:
                yield from _leaves(part, f"{path}.{name}" if path else name, ignore, seen)


def _tensor_leaves(x: Tensor, path: str) -> Iterator[_Leaf]:
    x = x.detach().cpu()
    if x.layout == torch.strided:
        yield path, x
    else:
        x = x.to_sparse_coo().coalesce()
        yield f"{path}.indices", x.indices()
        yield f"{path}.values", x.values()


def _parts(x: Any) -> Iterator[_Leaf]:
    """Yield the named parts of a container or an object."""
    if isinstance(x, pd.DataFrame):
        yield from ((str(name), column.to_numpy()) for name, column in x.items())
        yield "index", x.index.to_numpy()
    elif isinstance(x, pd.Series | pd.Index):
        yield "values", x.to_numpy()
    elif isinstance(x, torch.Generator):
        yield "state", x.get_state()
    elif isinstance(x, np.random.Generator):
        yield "state", dict(x.bit_generator.state)
    elif isinstance(x, Mapping):
        for number, (key, value) in enumerate(x.items()):
            # A key such as a tensor has no name that two fits share.
            yield str(key) if isinstance(key, str | int | float | tuple) else str(number), value
    elif isinstance(x, set | frozenset):
        yield from ((str(n), part) for n, part in enumerate(sorted(x, key=repr)))
    elif isinstance(x, list | tuple):
        yield from ((str(n), part) for n, part in enumerate(x))
    else:
        slots = [s for c in type(x).__mro__ for s in getattr(c, "__slots__", ())]
        yield from ((s, getattr(x, s)) for s in slots if s != "__weakref__" and hasattr(x, s))
        yield from getattr(x, "__dict__", {}).items()


def _is_equal(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return a.dtype == b.dtype and a.shape == b.shape and _has_equal_values(a, b)
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        # A frame's own comparison takes NaN and None as equal to themselves.
        same = a.dtype == b.dtype and a.shape == b.shape
        return same and pd.Series(a.ravel()).equals(pd.Series(b.ravel()))
    return type(a) is type(b) and bool(a == b or (a != a and b != b))


def _has_equal_values(a: Tensor, b: Tensor) -> bool:
    return bool(((a == b) | ((a != a) & (b != b))).all())
