"""Sessions with users whose answers are known."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor

from graphmeta.data.cold_users import ColdUsers
from graphmeta.errors import ConfigError, DataError
from graphmeta.explore.belief import Belief
from graphmeta.explore.policies import Policy
from graphmeta.explore.posterior import Posterior
from graphmeta.explore.session_batch import SessionBatch
from graphmeta.ranking.metrics import ranking_metrics
from graphmeta.ranking.top_k import top_k

# Users with fewer items on either side can take or be served too little to count.
FEWEST = 5
N_BEST = 10


@dataclass(frozen=True)
class Simulated:
    """What happened in simulated sessions.

    Args:
        shown: A row per item shown: user, round (from 1), item (the caller's ids), the chance
            with which it was expected to be taken, and is_taken.
        after: A row per user: n_takeable, how many items could have been taken; n_taken; ndcg@10 of
            the model's ranking of the other half after the session, and corrected_ndcg@10 that of
            the posterior's mean.
        posterior: What is believed of the users of `after` in the end.
        takeable: Which items these would still take; bool, `[n_users, n_items]`.
        closed: Which may not be shown to them any more; bool, `[n_users, n_items]`.
    """

    shown: pd.DataFrame
    after: pd.DataFrame
    posterior: Posterior
    takeable: Tensor
    closed: Tensor


def simulate_sessions(
    belief: Belief,
    policy: Policy,
    users: ColdUsers,
    *,
    k: int,
    n_rounds: int,
    slate: int,
    seed: int = 0,
) -> Simulated:
    """Show held-out users items, round after round, and rank for them in the end.

    A user has the first k items. Of a random half of the catalogue, drawn for each user, the
    session shows items, and the user takes those that are the user's. The other half of the
    catalogue is never shown, and ranked after the session: a policy gains there by what it taught
    alone, not by what it took or put out of the way.

    Args:
        belief: Of the model.
        policy: Chooses.
        users: The users; those with fewer than five items in a half are left out.
        k: How many items each has at first.
        n_rounds: How often something is shown.
        slate: How many items each time.
        seed: Draws the halves, which are the same for all policies, and the policy's numbers.

    Raises:
        ConfigError: There is no round, an empty slate or too few items for so many, or k is
            outside what the users have.
        DataError: No user has enough items.
    """
    first = users.support(k).item_index
    kept, takes, query, open_items = _sides(users, first, seed)
    first = first[kept]
    left = int(open_items.sum(1).min()) - k
    if min(n_rounds, slate) < 1 or n_rounds * slate > left:
        raise ConfigError(
            f"n_rounds={n_rounds} of slate={slate} must be at least 1 each and show no more than "
            f"the {left} items left to show"
        )
    sessions, generator = SessionBatch(belief, first), torch.Generator().manual_seed(seed)
    user, shown = users.user_ids.select(kept).ids, []
    for number in range(1, n_rounds + 1):
        posterior = sessions.posterior
        chosen = policy.slate(posterior, sessions.is_shown | ~open_items, slate, generator)
        is_taken = takes.gather(1, chosen)
        columns = {"item": users.item_ids.to_ids(chosen.flatten())}
        columns["chance"] = posterior.chance(chosen).flatten().numpy()
        columns["is_taken"] = is_taken.flatten().numpy()
        shown.append(pd.DataFrame({"user": user.repeat(slate), "round": number, **columns}))
        sessions.answer(chosen, is_taken)
    is_shown = sessions.is_shown
    after = {"user": user, "n_takeable": takes.sum(1), "n_taken": (takes & is_shown).sum(1)}
    after |= _judged(sessions, query, first, open_items, seed)
    return Simulated(
        pd.concat(shown, ignore_index=True),
        pd.DataFrame(after),
        sessions.posterior,
        takes & ~is_shown,
        is_shown | ~open_items,
    )


def all_items(users: ColdUsers) -> Tensor:
    """Return which items the users have; bool, `[n_users, n_items]`."""
    items = users.first.to_dense(len(users.item_ids)) > 0
    owner = torch.arange(len(users)).repeat_interleave(users.query_ptr.diff())
    items[owner, users.query_index] = True
    return items


def session_half(users: ColdUsers, seed: int) -> Tensor:
    """Return which items may be shown to each user, half of the catalogue, drawn by the seed.

    Shapes:
        output: bool, `[n_users, n_items]`.
    """
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(len(users), len(users.item_ids), generator=generator) < 0.5


def _sides(users: ColdUsers, first: Tensor, seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the rows of users with enough items, what they take, are judged by, and may see."""
    open_items = session_half(users, seed)
    items = all_items(users).scatter(1, first, False)
    takes, query = items & open_items, items & ~open_items
    kept = ((takes.sum(1) >= FEWEST) & (query.sum(1) >= FEWEST)).nonzero().flatten()
    if not len(kept):
        raise DataError(f"no user has {FEWEST} items to take and {FEWEST} to be judged by")
    return kept, takes[kept], query[kept], open_items[kept]


def _judged(
    sessions: SessionBatch, query: Tensor, first: Tensor, open_items: Tensor, seed: int
) -> dict[str, Tensor]:
    """Return the metrics of two rankings of the items that could not be shown."""
    own = torch.zeros_like(query).scatter(1, first, True)
    found = {}
    for name, scores in (
        ("ndcg@10", sessions.log_share),
        ("corrected_ndcg@10", sessions.posterior.mean),
    ):
        generator = torch.Generator().manual_seed(seed)
        # Below all others, and finite as `top_k` wants it.
        judged = scores.masked_fill(open_items | own, float(scores.min()) - 1)
        best = top_k(judged, first, k=N_BEST, generator=generator)
        found[name] = ranking_metrics(query.gather(1, best), query.sum(1))["ndcg@10"]
    return found
