"""The split in which held-out users are well known: most of a history is shown."""

from __future__ import annotations

from functools import partial

import numpy as np
from torch_geometric.data import HeteroData

from graphmeta.data.cold_users import ColdSplit, ColdUsers
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
    if not 0 < share < 1:
        raise ConfigError(f"share={share} must be above 0 and below 1")
    names, cut = {1: "validation", 2: "test"}, partial(_warm_users, share=share)
    role = held_out_roles(graph, seed)
    train, (validation, test) = held_out(graph, role, names, seed=seed, cut=cut)
    return ColdSplit(train, validation, test, seed)


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
