"""Where a user's query items come in the ranking."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from graphmeta.data.cold_users import ColdUsers
from graphmeta.ranking.top_k import top_k


def query_hits(
    scores: Float[Tensor, "n_users n_items"],
    users: ColdUsers,
    *,
    n_best: int,
    generator: torch.Generator,
) -> tuple[Int[Tensor, "n_users n_best"], Bool[Tensor, "n_users n_best"]]:
    """Return each user's best candidates, and whether each is in the query.

    Candidates are those of the users, by default the whole catalogue, less the first `k_max`.

    Args:
        scores: On the CPU.
        users: The users of the rows.
        n_best: How many items; fewer where the catalogue does not hold as many.
        generator: Breaks ties.

    Raises:
        NonFiniteError: A score is NaN or infinite.
    """
    excluded = users.first.item_index
    if users.candidates is not None:
        others = (~users.candidates).nonzero().flatten()
        excluded = torch.cat([excluded, others.expand(len(users), -1)], dim=1)
    n_best = min(n_best, scores.size(1) - excluded.size(1))
    best = top_k(scores, excluded, k=n_best, generator=generator)
    in_query = torch.zeros(scores.shape, dtype=torch.bool)
    row = torch.arange(len(users)).repeat_interleave(users.query_ptr.diff())
    in_query[row, users.query_index] = True
    return best, in_query.gather(1, best)
