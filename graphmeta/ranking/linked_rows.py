"""Whom new users are linked to, in the caller's ids, read against the training users."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data.links import LinkLists, has_links
from graphmeta.data.table import require_columns
from graphmeta.errors import DataError
from graphmeta.ranking.histories import OnUnknown, item_rows


def linked_rows(train: HeteroData, links: Iterable[Any], *, on_unknown: OnUnknown) -> Tensor:
    """Return the rows of the training users to whom one user is linked; int64, `[n_links]`.

    Args:
        train: The training graph.
        links: The linked users' ids.
        on_unknown: What to do about ids that are none of training users: raise, or leave them
            out with or without a warning.

    Raises:
        DataError: The training graph has no links, or `links` is a text.
        UnknownIdError: An id is unknown, and `on_unknown` is "raise".
        ConfigError: `on_unknown` has no known value.
    """
    _refuse_unlinked(train)
    if isinstance(links, str | bytes) or not isinstance(links, Iterable):
        raise DataError(f"links is {links!r}; give a list of user ids")
    rows = item_rows(links, train["user"].id_map, on_unknown=on_unknown, name="links")
    return torch.from_numpy(rows[rows >= 0]).long().unique()


def linked_rows_of_table(
    train: HeteroData,
    links: pd.DataFrame,
    users: pd.Index[Any],
    *,
    user: str,
    friend: str,
    on_unknown: OnUnknown,
) -> Tensor:
    """Return the rows of the training users to whom several users are linked.

    Args:
        train: The training graph.
        links: A row per link; those of others than the users are passed over.
        users: The users' ids.
        user: Column with their ids.
        friend: Column with the linked users' ids.
        on_unknown: As in `linked_rows`.

    Shapes:
        output: int64, `[n_users, m]`; -1 is padding.

    Raises:
        DataError: The training graph has no links, or a column is missing.
        UnknownIdError: An id in the column `friend` is unknown, and `on_unknown` is "raise".
        ConfigError: `on_unknown` has no known value.
    """
    _refuse_unlinked(train)
    require_columns(links.columns, [user, friend])
    place = users.get_indexer(pd.Index(links[user]))
    friends = links[friend][place >= 0]
    row = item_rows(friends, train["user"].id_map, on_unknown=on_unknown, name="links")
    ends = torch.stack([torch.from_numpy(place[place >= 0]), torch.from_numpy(row)]).long()
    ends = ends[:, ends[1] >= 0].unique(dim=1)
    return LinkLists(ends, len(users)).of(torch.arange(len(users)))


def _refuse_unlinked(train: HeteroData) -> None:
    if not has_links(train):
        raise DataError(
            "there are links, but the model was trained on a graph without any; give the graph its "
            "links with data.with_links before fit, or leave links out"
        )
