"""The split in which held-out users are well known: most of a history is shown."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch_geometric.data import HeteroData

from graphmeta.data.cold_users import ColdSplit, ColdUsers, Support
from graphmeta.data.split import Array, held_out, held_out_roles, shown_and_query
from graphmeta.errors import ConfigError

# Shorter histories leave next to nothing to rank.
NEED = 5


def split_warm_users(graph: HeteroData, *, seed: int = 0, share: float = 0.8) -> ColdSplit:
    """Split users as `split_cold_users` does, and let the held-out ones show most of their items.

    Strong generalisation (Marlin, NIPS 2003; Liang et al., WWW 2018): nothing of a held-out user is
    in the training graph, the first `share` of the history is the support and the rest the query.
    Training graph, users' roles and the order of their histories are those of the cold split of
    the same seed, so that a model fitted on either serves both. Users with fewer than five
    interactions are left out.

    Args:
        graph: A graph with `(user, rates, item)` edges.
        seed: The split seed.
        share: Share of a history to show, rounded down, at least one item and not the last.

    Returns:
        A split whose users have shown up to `k_max` items; `support(k_max)` is all of them, padded.

    Raises:
        DataError: There is no training user, or no validation or test user has enough history.
        ConfigError: `share` is not between 0 and 1.
    """
    _refuse_share(share)
    names, cut = {1: "validation", 2: "test"}, partial(_warm_users, share=share)
    role = held_out_roles(graph, seed)
    train, (validation, test) = held_out(graph, role, names, seed=seed, cut=cut)
    return ColdSplit(train, validation, test, seed)


def shown_more(
    users: ColdUsers, *, above: int, share: float = 0.8, seed: int = 0
) -> ColdUsers | None:
    """Return the held-out users who can show more than so many items, and let them.

    As many as are drawn for each, uniformly, up to `share` of the history: a moment of the user's
    time so far. What they then show are the items alone; ratings and times of a query are not kept.

    Args:
        users: Held-out users.
        above: Every user shows more items than these; those who cannot are left out.
        share: Largest share of a history to show, rounded down.
        seed: Draws how many.

    Returns:
        Their supports are of different sizes, `support(k_max)` is all of each; None for nobody.

    Raises:
        ConfigError: `share` is not between 0 and 1.
    """
    _refuse_share(share)
    n_first, n_query = users.first.size, users.query_ptr.diff()
    least = n_first.clamp(min=above + 1)
    most = (share * (n_first + n_query) + 1e-9).long()
    drawn = torch.rand(len(users), generator=torch.Generator().manual_seed(seed))
    n_shown = (least + drawn * (most + 1 - least)).long().minimum(most)
    is_known = (least <= most) & (n_query > 0)
    users, n_shown = users.select(is_known.nonzero().flatten()), n_shown[is_known]
    if not len(users):
        return None
    n_first, n_query = n_first[is_known], n_query[is_known]
    slot = torch.arange(int(n_shown.max()))
    further = users.query_ptr[:-1, None] + slot - n_first[:, None]
    item = users.query_index[further.clamp(0, len(users.query_index) - 1)]
    first = users.first.item_index[:, slot.clamp(max=users.k_max - 1)]
    item = first.where(slot < n_first[:, None], item).where(slot < n_shown[:, None], -1)
    n_left = n_first + n_query - n_shown
    ptr = torch.cat([n_left.new_zeros(1), n_left.cumsum(0)])
    start = users.query_ptr[1:] - n_left - ptr[:-1]
    query = users.query_index[start.repeat_interleave(n_left) + torch.arange(int(ptr[-1]))]
    support = Support(item, user_x=users.first.user_x, links=users.first.links)
    return replace(users, first=support, query_ptr=ptr, query_index=query)


def _refuse_share(share: float) -> None:
    if not 0 < share < 1:
        raise ConfigError(f"share={share} must be above 0 and below 1")


def _warm_users(
    graph: HeteroData, edges: Array, item_row: Array, *, train: HeteroData, name: str, share: float
) -> ColdUsers:
    return shown_and_query(
        graph,
        edges,
        item_row,
        train=train,
        n_shown=lambda count: np.clip(np.floor(share * count + 1e-9).astype(int), 1, count - 1),
        need=NEED,
        needed_by="a warm user",
        name=name,
        advice="use more data or another seed",
    )
