"""Users whose interest changes at a known place: two users' histories, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data import ColdUsers, Support
from graphmeta.errors import DataError
from graphmeta.ranking.scorer import Scorer


@dataclass(frozen=True)
class SwitchedUsers:
    """Users who show `before` items, then others, then what must be ranked.

    Args:
        users: Their first `before + after` items, and the query.
        before: How many items they show before the interest changes.
    """

    users: ColdUsers
    before: int


def switched_users(
    users: ColdUsers,
    *,
    before: int,
    after: int,
    n_query: int,
    most: int,
    are_switched: bool = True,
    seed: int = 0,
) -> SwitchedUsers:
    """Return users made of two each, or as a control the first of each two as they are.

    The first user gives the items up to the change, and the second those at the same places of
    their history as the first one's would have been, so that the place in a history tells nothing.

    Args:
        users: Where they come from.
        before: Items before the change.
        after: Items shown after it.
        n_query: Items to rank, those after that.
        most: Most users to make.
        are_switched: False for the control.
        seed: Pairs the users.

    Raises:
        DataError: Fewer than two users have that many items.
    """
    histories = [torch.cat([users.first.item_index[u], users.query(u)]) for u in range(len(users))]
    need = before + after + n_query
    long = [row for row, items in enumerate(histories) if len(items) >= need + before]
    if len(long) < 2:
        raise DataError(
            f"{len(long)} users have the {need + before} items that a switch needs; lower "
            "--before, --after or --query, or use more data"
        )
    order = torch.randperm(len(long), generator=torch.Generator().manual_seed(seed)).tolist()
    rows, sequences = [], []
    for place, first in enumerate(order[:most]):
        mine = histories[long[first]]
        other = histories[long[order[(place + 1) % len(order)]]] if are_switched else mine
        start = mine[:before]
        later = other[before:]
        later = later[~torch.isin(later, start)]
        if len(later) >= after + n_query:
            rows.append(long[first])
            sequences.append(torch.cat([start, later[: after + n_query]]))
    items = torch.stack(sequences)
    shown = before + after
    made = replace(
        users,
        user_ids=users.user_ids.select(torch.tensor(rows)),
        first=Support(items[:, :shown]),
        query_ptr=torch.arange(len(rows) + 1) * n_query,
        query_index=items[:, shown:].flatten(),
    )
    return SwitchedUsers(made, before)


class CutModel:
    """Ranks users by what they showed after a change, once there was an alarm.

    Args:
        model: Scores what is left.
        users: The users, by whose items they are known again.
        said: For each user after how many items the alarm came, and how many of them came before
            the change; None for no alarm.
    """

    def __init__(
        self, model: Scorer, users: ColdUsers, said: Sequence[tuple[int, int] | None]
    ) -> None:
        self.model = model
        self._said = {
            tuple(items): found
            for items, found in zip(users.first.item_index.tolist(), said, strict=True)
        }

    def fit(self, train: HeteroData) -> Self:
        """Return self: the model is trained already."""
        return self

    def score(self, support: Support) -> Tensor:
        """Return the model's scores of every item by what the users showed after the change."""
        k = support.item_index.size(1)
        cuts = []
        for items in support.item_index.tolist():
            found = next(f for known, f in self._said.items() if [*known[:k]] == items)
            cuts.append(found[1] if found is not None and found[0] <= k else 0)
        is_left = torch.arange(k) >= torch.tensor(cuts).unsqueeze(1)
        return self.model.score(replace(support, item_index=support.item_index.where(is_left, -1)))
