"""A user's state in the rows of another model."""

from __future__ import annotations

from dataclasses import replace

from graphmeta.data.links import translated_links
from graphmeta.errors import DataError
from graphmeta.ranking.fitted_recommender import FittedRecommender
from graphmeta.ranking.user_state import UserState


def carried_over(state: UserState, old: FittedRecommender, new: FittedRecommender) -> UserState:
    """Return the state that a newer model makes of what an older one knew of a user.

    Own weights mean nothing to other shared weights, and rows nothing in another catalogue, so the
    user is adapted anew, by ids: the same as `new.adapt` of the history, which need not have been
    kept. Items that are gone are left out, and so are links to users who are.

    Args:
        state: Made by `old`.
        old: The model that is to be replaced.
        new: `refreshed`, `fine_tuned` or fitted anew.

    Raises:
        DataError: The state is not of `old`.
    """
    if state.model != old.fingerprint:
        raise DataError("the state was made by another model than `old`; pass the one that made it")
    ids = old.item_ids.to_ids(state.support.item_index[0])
    row = new.item_ids.find(ids)
    users = (model.train_graph["user"].id_map for model in (old, new))
    links = translated_links(state.support.links, *users)
    support = replace(state.support, item_index=row.unsqueeze(0), links=links).at(row >= 0)
    return new.state_of(support)
