"""The best items for users with histories of any length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from graphmeta.data.cold_users import Support
from graphmeta.data.id_map import IdMap
from graphmeta.errors import ConfigError
from graphmeta.ranking.few_shot_scorer import FewShotScorer, Source
from graphmeta.ranking.histories import Histories

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class RankedBlock:
    """The best items of some users, and what they have shown.

    Shapes:
        users: int64, `[n]`; the users' numbers.
        items: int64, `[n, k]`; rows of the catalogue, best first.
        scores: float32, `[n, k]`.
    """

    users: Array
    support: Support
    items: Tensor
    scores: Tensor
    source: Source


def rank_histories(
    scorer: FewShotScorer,
    histories: Histories,
    *,
    k: int,
    allowed: Tensor,
    user_x: Tensor | None = None,
    links: Tensor | None = None,
) -> Iterator[RankedBlock]:
    """Yield the users' best items, less the history, a block of users at a time.

    Args:
        scorer: Scores the catalogue.
        histories: What the users have shown.
        k: How many items to return.
        allowed: Which items may be recommended.
        user_x: The users' features.
        links: Rows of the training users to whom they are linked, -1 for padding.

    Shapes:
        allowed: bool, `[n_items]`.
        user_x: float32, `[n_users, n_features]`.
        links: int64, `[n_users, n_links]`.

    Raises:
        ConfigError: `k` is not positive, or exceeds the items left for some user.
    """
    _refuse_for_anyone(k, histories, allowed)
    for users, support in histories.blocks(scorer.batch_size):
        if user_x is not None:
            support = replace(support, user_x=user_x[torch.from_numpy(users)])
        if links is not None:
            support = replace(support, links=links[torch.from_numpy(users)])
        items, scores = scorer.best(support, k=k, allowed=allowed)
        source = scorer.source(support.item_index.size(1))
        yield RankedBlock(users, support, items, scores, source)


def refuse_k(k: int, left: int, whose: str = "") -> None:
    """Check how many items are asked for.

    Raises:
        ConfigError: `k` is not positive, or exceeds the items left to recommend.
    """
    if not 1 <= k <= left:
        raise ConfigError(
            f"k={k} is outside 1..{left}, the items left to recommend{whose}; change k"
        )


def _refuse_for_anyone(k: int, histories: Histories, allowed: Tensor) -> None:
    known, n_users = histories.known, len(histories.users)
    shown = known["user"][allowed.numpy()[known["item"]]]
    left = int(allowed.sum()) - np.bincount(shown, minlength=n_users)
    whose = f" to user {histories.users[int(left.argmin())]}" if n_users > 1 else ""
    refuse_k(k, int(left.min(initial=int(allowed.sum()))), whose)


def ranked_frame(
    blocks: Sequence[RankedBlock], users: pd.Index[Any], item_ids: IdMap
) -> pd.DataFrame:
    """Return columns user, rank, item, score and source, in the caller's ids and order.

    Args:
        blocks: What `rank_histories` yielded.
        users: All users' ids.
        item_ids: The catalogue.
    """
    if not blocks:
        return pd.DataFrame(columns=["user", "rank", "item", "score", "source"])
    number = np.concatenate([block.users for block in blocks])
    order = number.argsort()
    items = torch.cat([block.items for block in blocks])[order]
    scores = torch.cat([block.scores for block in blocks])[order]
    source = np.concatenate([np.repeat(block.source, len(block.users)) for block in blocks])
    k = items.size(1)
    return pd.DataFrame(
        {
            "user": users.take(number[order].repeat(k)),
            "rank": np.tile(np.arange(1, k + 1), len(number)),
            "item": item_ids.to_ids(items).ravel(),
            "score": scores.numpy().ravel(),
            "source": source[order].repeat(k),
        }
    )
