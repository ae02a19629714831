"""Paths from a user's items over those who share them to recommended items."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from graphmeta.encoders.vote import Vote
from graphmeta.tasks.episode import EpisodeBatch


class Path(NamedTuple):
    """A path: the item's and the shown item's places, the voter's row, the share of the votes."""

    item: int
    shown: int
    voter: int
    share: float


class Paths(NamedTuple):
    """Paths to items, and how much of an item's votes came over each shown item.

    Shapes:
        shown_share: float32, `[k, n_items]`; columns sum to 1, or are 0 without a vote.
    """

    strongest: list[Path]
    shown_share: Tensor


def paths_to(
    vote: Vote,
    attention: Tensor,
    episodes: EpisodeBatch,
    items: Tensor,
    *,
    n_paths: int,
) -> Paths:
    """Return each item's strongest paths, the strongest first.

    A voter's attention goes to the shown items in proportion to what each adds to the overlap,
    and to each of the voter's items alike. An item's paths have shares that sum to 1.

    Args:
        vote: Who votes for what.
        attention: What `vote.attention` returned.
        episodes: One user.
        items: Rows of the items.
        n_paths: Most paths for each item.

    Shapes:
        attention: float32, `[1, n_voters]`.
        items: int64, `[n_items]`.
    """
    sampled = vote.voters_of(episodes)
    place = attention[0].nonzero().flatten()
    voter = place if sampled is None else sampled[0][place]
    shown = episodes.support.item_index[0]
    overlap = vote.interactions.has(voter.unsqueeze(1), shown) * vote.support_weight(episodes)
    strength = attention[0][place].unsqueeze(1) * overlap / overlap.sum(1, keepdim=True)
    paths, shares = [], []
    for number, item in enumerate(items.tolist()):
        has_item = vote.interactions.has(voter, torch.full_like(voter, item)).unsqueeze(1)
        of_item = strength * has_item
        of_item = of_item / of_item.sum().clamp(min=1e-12)
        shares.append(of_item.sum(0))
        best = of_item.flatten().topk(min(n_paths, int((of_item > 0).sum())))
        for at, value in zip(best.indices.tolist(), best.values.tolist(), strict=True):
            row, slot = divmod(at, len(shown))
            paths.append(Path(number, slot, int(voter[row]), value))
    return Paths(paths, torch.stack(shares, dim=1).cpu())
