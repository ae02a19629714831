"""Top-k of the catalogue with ties broken at random."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from graphmeta.errors import ConfigError, NonFiniteError

# Scores held in a copy at once: 16 MiB of float32.
BLOCK = 2**22


def top_k(
    scores: Float[Tensor, "n_users n_items"],
    exclude: Int[Tensor, "n_users n_excluded"],
    *,
    k: int,
    generator: torch.Generator,
) -> Int[Tensor, "n_users k"]:
    """Return the k best items of each user, best first, less the excluded.

    Items of equal score come in a random order, so that a scorer without an opinion does
    not profit from the order of the catalogue. Every order of a group of equal scores is
    equally likely, as after a stable sort of shuffled columns, but only the users whose
    k-th and next score are equal pay for a draw over the catalogue.

    Shapes:
        scores: `[n_users, n_items]`.
        exclude: int64, `[n_users, n_excluded]`; -1 is padding.
        output: int64, `[n_users, k]`.

    Raises:
        ConfigError: `k` exceeds the candidates of some user.
        NonFiniteError: A score is NaN or infinite, and so could tie with the excluded.
    """
    n_users, n_items = scores.shape
    most = n_items - int((exclude >= 0).sum(1).max()) if n_users else n_items
    if not 1 <= k <= most:
        raise ConfigError(f"k={k} is outside 1..{most}, the candidates left; change k")
    best = torch.empty(n_users, k, dtype=torch.long)
    size = max(1, BLOCK // n_items)
    for start in range(0, n_users, size):
        rows = slice(start, start + size)
        _refuse_non_finite(scores[rows], start)
        best[rows] = _best(scores[rows], exclude[rows], k, generator)
    return best


def _refuse_non_finite(scores: Tensor, first_row: int) -> None:
    # The extremes of a row are NaN or infinite exactly where some score is.
    low, high = scores.aminmax(dim=1)
    bad = ~(low.isfinite() & high.isfinite())
    if bool(bad.any()):
        raise NonFiniteError(
            f"the scores of row {first_row + int(bad.nonzero()[0])} hold NaN or infinity; "
            "a scorer must rank every item"
        )


def _best(scores: Tensor, exclude: Tensor, k: int, generator: torch.Generator) -> Tensor:
    """Return the top k of one block of users."""
    masked = scores.clone()
    row, slot = (exclude >= 0).nonzero(as_tuple=True)
    masked[row, exclude[row, slot]] = -torch.inf
    value, item = masked.topk(min(k + 1, masked.size(1)), dim=1)
    if value.size(1) > k:
        is_open = value[:, k - 1] == value[:, k]
        if bool(is_open.any()):
            chosen = _draw_last(masked[is_open], value[is_open, k - 1], k, generator)
            item[is_open, :k] = chosen
            value[is_open, :k] = masked[is_open].gather(1, chosen)
    value, item = value[:, :k], item[:, :k]
    # Which items are in is settled; a stable sort of shuffled columns settles their order.
    shuffled = torch.rand(item.shape, generator=generator, dtype=torch.float64).argsort(1)
    order = value.gather(1, shuffled).sort(dim=1, descending=True, stable=True).indices
    return item.gather(1, shuffled.gather(1, order))


def _draw_last(masked: Tensor, last: Tensor, k: int, generator: torch.Generator) -> Tensor:
    """Return all items above the k-th best score `last`, and a random few of those equal to it."""
    # Drawn in double precision: equal keys would be settled by position.
    key = torch.rand(masked.shape, generator=generator, dtype=torch.float64)
    last = last.unsqueeze(1)
    key.masked_fill_(masked > last, 2.0).masked_fill_(masked < last, -1.0)
    return key.topk(k, dim=1).indices
