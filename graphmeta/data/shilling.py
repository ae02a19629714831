"""Fake users in a training graph who push items: what a shilling attack leaves behind."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data.bipartite_graph import FORWARD
from graphmeta.data.id_map import IdMap
from graphmeta.data.same_catalogue import same_catalogue
from graphmeta.data.weighted_draw import draw_distinct
from graphmeta.errors import ConfigError

Fillers = Literal["random", "bandwagon", "segment"]


def inject_profiles(
    graph: HeteroData,
    targets: Tensor,
    *,
    fillers: Fillers = "bandwagon",
    share: float = 0.05,
    profile_size: int = 20,
    seed: int = 0,
) -> HeteroData:
    """Return the graph with fake users, each of whom has all targets and some fillers.

    Fillers make a fake user a neighbour of real ones (Lam and Riedl, WWW 2004; Mobasher et al.,
    ACM TOIT 2007; Burke et al., KDD 2006):

    - "random": any items. What the literature calls an average attack differs from it only in the
      ratings, which an interaction does not have.
    - "bandwagon": items in proportion to how many users have them, so that many real users have
      one in common with the fake user.
    - "segment": items in proportion to how many users of an audience have them, times the lift of
      that over all users. The audience, the same for all fake users, is whoever has one item,
      drawn by popularity.

    Real users, items and edges are as they were; fake users are the last rows. A fake user's
    edges have the time of one real edge, the account having been filled in one sitting, and the
    highest rating; its features, where users have some, are those of a random real user.

    Args:
        graph: A training graph.
        targets: Rows of the pushed items.
        fillers: How fillers are drawn.
        share: Fake users for each real one, rounded up to whole users; 0 to 1.
        profile_size: Fillers of each fake user; 0 or more.
        seed: Draws everything.

    Shapes:
        targets: int64, `[n_targets]`.

    Raises:
        ConfigError: A number is out of its range, `fillers` is unknown, a target is named twice or
            is no item, or there are not as many items as a fake user needs.
    """
    n_users = int(graph["user"].num_nodes)
    _check(int(graph["item"].num_nodes), targets, fillers, share, profile_size)
    n_fake, n_each = int(np.ceil(share * n_users)), len(targets) + profile_size
    generator = torch.Generator().manual_seed(seed)
    weight = _filler_weight(graph, fillers, generator)
    items = _profiles(targets, weight, n_fake, profile_size, generator)
    real = graph[FORWARD]
    users = torch.arange(n_users, n_users + n_fake).repeat_interleave(n_each)
    rating = time = x = None
    if "rating" in real:
        rating = torch.cat([real.rating, real.rating.max().expand(len(users))])
    if "time" in real:
        sitting = torch.randint(len(real.time), (n_fake,), generator=generator)
        time = torch.cat([real.time, real.time[sitting].repeat_interleave(n_each)])
    if "x" in graph["user"]:
        copied = torch.randint(n_users, (n_fake,), generator=generator)
        x = torch.cat([graph["user"].x, graph["user"].x[copied]])
    return same_catalogue(
        graph,
        torch.cat([real.edge_index, torch.stack([users, items.flatten()])], dim=1),
        user_ids=_with_new_ids(graph["user"].id_map, n_fake),
        rating=rating,
        time=time,
        user_x=x,
    )


def less_known_items(graph: HeteroData, n: int, *, seed: int = 0) -> Tensor:
    """Return items drawn from the less known half: what is worth pushing.

    Args:
        graph: A training graph.
        n: How many.
        seed: Draws them.

    Shapes:
        output: int64, `[n]`; rows, distinct.

    Raises:
        ConfigError: `n` is not in 1 to half the number of items.
    """
    count = _counts(graph)
    half = count.argsort(stable=True)[: len(count) // 2]
    if not 1 <= n <= len(half):
        raise ConfigError(f"n={n} is outside 1..{len(half)}, the less known half of the items")
    generator = torch.Generator().manual_seed(seed)
    return half[torch.randperm(len(half), generator=generator)[:n]]


def _check(n_items: int, targets: Tensor, fillers: str, share: float, profile_size: int) -> None:
    if fillers not in get_args(Fillers):
        raise ConfigError(f"fillers={fillers!r} must be one of {get_args(Fillers)}")
    if not 0 <= share <= 1 or profile_size < 0:
        raise ConfigError(
            f"share={share} must be in 0..1 and profile_size={profile_size} 0 or more"
        )
    if not len(targets) or len(targets.unique()) < len(targets):
        raise ConfigError(f"targets={targets.tolist()} must name at least one item, each once")
    if not 0 <= int(targets.min()) <= int(targets.max()) < n_items:
        raise ConfigError(f"targets={targets.tolist()} must be rows of the {n_items} items")
    if profile_size > n_items - len(targets):
        raise ConfigError(
            f"profile_size={profile_size} exceeds the {n_items - len(targets)} items that are no "
            "target; lower it"
        )


def _counts(graph: HeteroData) -> Tensor:
    return graph[FORWARD].edge_index[1].bincount(minlength=int(graph["item"].num_nodes))


def _filler_weight(graph: HeteroData, fillers: Fillers, generator: torch.Generator) -> Tensor:
    """Return how likely each item is a filler; float32, `[n_items]`, above 0."""
    # Where few items are likely, the others fill up the profile.
    count = _counts(graph).float() + 1e-6
    if fillers == "random":
        return torch.ones_like(count)
    if fillers == "bandwagon":
        return count
    user, item = graph[FORWARD].edge_index
    loved = torch.multinomial(count, 1, generator=generator)
    audience = user[item == loved]
    in_audience = torch.zeros(int(graph["user"].num_nodes), dtype=torch.bool)
    in_audience[audience] = True
    shared = item[in_audience[user]].bincount(minlength=len(count)).float() + 1e-6
    return shared * shared / count


def _profiles(
    targets: Tensor, weight: Tensor, n_fake: int, profile_size: int, generator: torch.Generator
) -> Tensor:
    """Return the items of each fake user; int64, `[n_fake, n_targets + profile_size]`."""
    taken = torch.zeros(n_fake, len(weight), dtype=torch.bool)
    taken[:, targets] = True
    drawn = draw_distinct(weight, taken, n=profile_size, generator=generator)
    items = torch.cat([targets.expand(n_fake, -1), drawn], dim=1)
    # Which edge is the target must not be told by the order.
    order = torch.rand(items.shape, generator=generator).argsort(1)
    return items.gather(1, order)


def _with_new_ids(known: IdMap, n: int) -> IdMap:
    """Return the ids and n new ones: the next numbers, or names that no id has."""
    ids: np.ndarray[Any, np.dtype[Any]] = known.ids
    if np.issubdtype(ids.dtype, np.integer):
        start = int(ids.max()) + 1
        return IdMap(np.concatenate([ids, np.arange(start, start + n, dtype=ids.dtype)]))
    taken, prefix = set(ids.tolist()), "fake-"
    while any(f"{prefix}{number}" in taken for number in range(n)):
        prefix = f"_{prefix}"
    return IdMap([*ids.tolist(), *(f"{prefix}{number}" for number in range(n))])
