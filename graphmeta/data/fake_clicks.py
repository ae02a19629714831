"""Clicks that a new user did not mean, or that somebody else made: poisoned supports."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from graphmeta.data.cold_users import ColdUsers, Support
from graphmeta.errors import ConfigError, DataError


def with_clicks(support: Support, items: Tensor) -> Support:
    """Return the support followed by further items, as if clicked at the same time as the last.

    A click has the time of the user's latest interaction and, where there are ratings, the user's
    highest.

    Args:
        support: What users have shown, at least one item each.
        items: Rows of the catalogue to add to each.

    Shapes:
        items: int64, `[n_users, n]`; -1 adds nothing.
        output: a `Support` of shape `[n_users, k + n]`.

    Raises:
        DataError: There is not one row of items for each user, a user has shown nothing, or an
            item is in the support already or comes twice.
    """
    if len(items) != len(support) or not bool((support.size > 0).all()):
        raise DataError(
            f"clicks on items of shape {list(items.shape)} do not fit {len(support)} users; give "
            "one row for each, of users who have shown something"
        )
    together = torch.cat([support.item_index, items], dim=1)
    ordered = together.sort(1).values
    if bool(((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any()):
        raise DataError("a click is on an item that the user has shown or clicked; draw another")

    def longer(values: Tensor | None) -> Tensor | None:
        if values is None:
            return None
        highest = values.where(support.mask, -torch.inf).amax(1, keepdim=True)
        return torch.cat([values, highest.expand(-1, items.size(1))], dim=1)

    return replace(
        support, item_index=together, rating=longer(support.rating), time=longer(support.time)
    )


def with_clicked_users(users: ColdUsers, items: Tensor, *, k: int) -> ColdUsers:
    """Return users whose first `k` interactions are followed by clicks on the given items.

    Their support of `k + n` is the poisoned one of `k`: evaluate at that size. Queries are as they
    were, and what is not to be ranked is what was so before, and the clicks.

    Args:
        users: Held-out users.
        items: Rows of the catalogue that each of them clicks; none of the user's own.
        k: Interactions before the clicks.

    Shapes:
        items: int64, `[n_users, n]`.

    Raises:
        ConfigError: `k` is outside 1 to the largest support.
        DataError: There is not one row of items for each user, a user clicks an item twice, or an
            item is one of the user's own.
    """
    if not 1 <= k <= users.k_max:
        raise ConfigError(f"k={k} is outside 1..{users.k_max}, what the users show")
    if len(items) == len(users) and bool(own_items(users).gather(1, items).any()):
        raise DataError("a click is on an item of the user's own, which is no fake; draw another")
    clicked = with_clicks(users.first.at(slice(k)), items)

    def with_rest(name: str) -> Tensor | None:
        values = getattr(users.first, name)
        return None if values is None else torch.cat([getattr(clicked, name), values[:, k:]], dim=1)

    columns: dict[str, Any] = {name: with_rest(name) for name in ("item_index", "rating", "time")}
    return replace(users, first=replace(users.first, **columns))


def own_items(users: ColdUsers) -> Tensor:
    """Return which items are in each user's history or query; bool, `[n_users, n_items]`.

    What is known of the user `before`, from other domains, is history too.
    """
    own = users.first.to_dense(len(users.item_ids)) > 0
    if users.before is not None:
        own |= users.before.to_dense(len(users.item_ids)) > 0
    row = torch.arange(len(users)).repeat_interleave(users.query_ptr.diff())
    own[row, users.query_index] = True
    return own
