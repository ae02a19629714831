"""Held-out users who have shown most of their history."""

from __future__ import annotations

import pandas as pd
import pytest
import torch

from graphmeta.data import (
    audit_split,
    from_frame,
    planted_interactions,
    split_cold_users,
    split_warm_users,
)
from graphmeta.errors import ConfigError, DataError
from graphmeta.ranking import evaluate, run_canaries
from graphmeta.ranking.baselines import Popularity


def table(*, timed: bool) -> pd.DataFrame:
    frame = planted_interactions(200, 60, per_user=20, skew=0.3)
    # Histories of several lengths, some too short.
    frame = frame[frame.groupby("user").cumcount() < 2 + frame["user"].str[1:].astype(int) % 18]
    return frame if timed else frame.drop(columns="time")


@pytest.mark.parametrize("timed", [True, False])
def test_support_and_query_are_the_history_in_the_cold_split_order(timed: bool) -> None:
    graph = from_frame(table(timed=timed), time="time" if timed else None)
    cold, warm = split_cold_users(graph, seed=1, k_max=2), split_warm_users(graph, seed=1)
    assert torch.equal(
        warm.train["user", "rates", "item"].edge_index,
        cold.train["user", "rates", "item"].edge_index,
    )
    for one, other in ((warm.validation, cold.validation), (warm.test, cold.test)):
        row = {user: i for i, user in enumerate(other.user_ids.ids)}
        assert len(one) > 5
        assert (one.first.size[:, None] != one.first.size).any()
        for u, user in enumerate(one.user_ids.ids):
            shown = one.first.item_index[u, : one.first.size[u]]
            theirs = row[user]
            history = torch.cat([other.first.item_index[theirs], other.query(theirs)])
            assert torch.cat([shown, one.query(u)]).tolist() == history.tolist()
            assert len(shown) == int(0.8 * len(history))
            assert (one.first.item_index[u, len(shown) :] == -1).all()
    audit_split(warm)


def test_methods_rank_for_them() -> None:
    split = split_warm_users(from_frame(table(timed=True), time="time"), share=0.5)
    most = split.k_max
    found = evaluate(Popularity().fit(split.train), split.test, k=(most,))
    shown = split.test.first
    best = found.rankings
    assert len(best["user"].unique()) == len(split.test)
    for user, items in best.groupby("user")["item"]:
        row = split.test.user_ids.to_index([user])
        own = split.test.item_ids.to_ids(shown.item_index[row][shown.mask[row]])
        assert not set(items) & set(own)
    assert not run_canaries(split.test, k=(most,)).empty
    assert found.catalogue["taste_gap@10"].notna().all()


def test_bad_input() -> None:
    graph = from_frame(table(timed=True), time="time")
    for share in (0, 1, -0.5):
        with pytest.raises(ConfigError, match=f"share={share} must be above 0 and below 1"):
            split_warm_users(graph, share=share)
    few = table(timed=True)
    few = from_frame(few[few.groupby("user").cumcount() < 4], time="time")
    with pytest.raises(DataError, match="no validation user has the 5 interactions that a warm"):
        split_warm_users(few)
