"""Items that are to be scored, where not all are."""

from __future__ import annotations

from torch import Tensor, long

from graphmeta.errors import DataError


def of_each_user(candidates: Tensor, n_users: int, n_items: int) -> Tensor:
    """Return every user's candidates, all of them rows of the catalogue.

    Args:
        candidates: The same for all users, or each user's own.
        n_users: How many users there are.
        n_items: Size of the catalogue.

    Shapes:
        candidates: int64, `[m]` or `[n_users, m]`.
        output: int64, `[n_users, m]`.

    Raises:
        DataError: The shape does not fit, or a row is not in the catalogue.
    """
    if candidates.dtype != long or candidates.dim() not in (1, 2):
        raise DataError(
            f"candidates are {candidates.dtype} {list(candidates.shape)}; give item rows as "
            "int64, [m] or [n_users, m]"
        )
    if candidates.dim() == 2 and len(candidates) != n_users:
        raise DataError(
            f"candidates have {len(candidates)} rows for {n_users} users; give one per user"
        )
    outside = candidates[(candidates < 0) | (candidates >= n_items)]
    if outside.numel():
        raise DataError(
            f"candidate row {int(outside[0])} is outside the catalogue of {n_items} items; map "
            "ids with the training graph's id_map"
        )
    return candidates.expand(n_users, -1)
