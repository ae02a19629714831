"""Top-k of the catalogue with ties broken at random."""

from __future__ import annotations

import torch
from torch import Tensor

from graphmeta.errors import ConfigError, NonFiniteError


def top_k(scores: Tensor, exclude: Tensor, *, k: int, generator: torch.Generator) -> Tensor:
    """Return the k best items of each user, best first, less the excluded.

    Items of equal score come in a random order, so that a scorer without an opinion does
    not profit from the order of the catalogue.

    Shapes:
        scores: `[n_users, n_items]`.
        exclude: int64, `[n_users, n_excluded]`; -1 is padding.
        output: int64, `[n_users, k]`.

    Raises:
        ConfigError: `k` exceeds the candidates of some user.
        NonFiniteError: A score is NaN or infinite, and so could tie with the excluded.
    """
    n_users, n_items = scores.shape
    finite = scores.isfinite().all(1)
    if not bool(finite.all()):
        row = int((~finite).nonzero()[0])
        raise NonFiniteError(
            f"the scores of row {row} hold NaN or infinity; a scorer must rank every item"
        )
    most = n_items - int((exclude >= 0).sum(1).max()) if n_users else n_items
    if not 1 <= k <= most:
        raise ConfigError(f"k={k} is outside 1..{most}, the candidates left; change k")
    hidden = torch.zeros(n_users, n_items + 1, dtype=torch.bool)
    hidden.scatter_(1, exclude.where(exclude >= 0, n_items), True)
    shuffled = torch.rand(n_users, n_items, generator=generator).argsort(1)
    moved = scores.masked_fill(hidden[:, :n_items], -torch.inf).gather(1, shuffled)
    # A stable sort of shuffled columns leaves ties in shuffled order.
    best = moved.sort(dim=1, descending=True, stable=True).indices[:, :k]
    return shuffled.gather(1, best)
