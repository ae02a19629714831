"""The choice of a strength, and what it brings planted users."""

from __future__ import annotations

from functools import partial

import pandas as pd
import pytest

from graphmeta.data import from_frame, planted_interactions, split_cold_users
from graphmeta.experiments.popularity_frontier import PLAIN, WAYS, frontier, strongest, weakest
from graphmeta.ranking import ColdStartRecommender, evaluate


def test_the_strongest_that_loses_little_enough() -> None:
    rows = [(PLAIN, 0.0, 1.0), ("niche", 0.1, 0.99), ("niche", 0.2, 0.98), ("niche", 0.3, 0.9)]
    rows += [("niche", 0.4, 0.99), ("calibrated", 0.1, 0.5)]
    tried = pd.DataFrame(rows, columns=["way", "strength", "ndcg@10"])
    assert strongest(tried, "niche", most_lost=0.02) == 0.2
    # Not .4, which is good by chance where a weaker one is not.
    assert strongest(tried, "niche", most_lost=0.015) == 0.1
    assert strongest(tried, "calibrated", most_lost=0.02) == 0
    assert strongest(tried, PLAIN, most_lost=0.02) == 0


def test_the_weakest_that_shows_enough() -> None:
    rows = [(PLAIN, 0.0, 0.01), ("niche", 0.1, 0.015), ("niche", 0.2, 0.03), ("niche", 0.3, 0.05)]
    tried = pd.DataFrame(rows, columns=["way", "strength", "tail_share@10"])
    assert weakest(tried, "niche", times=2) == 0.2
    assert weakest(tried, "niche", times=9) == 0.3
    assert weakest(tried, PLAIN, times=2) == 0


def test_the_frontier_of_planted_users() -> None:
    split = split_cold_users(from_frame(planted_interactions(), time="time"), seed=0)
    model = ColdStartRecommender(channels=8, epochs=1, min_steps=1).fit(split.train)
    choose = partial(strongest, most_lost=0.5)
    tried, per_user, catalogue = frontier(model, split, k=[1, 3], choose=choose)
    assert len(tried) == 2 * (1 + sum(len(way.strengths) for way in WAYS.values()))
    assert len(per_user) == (1 + len(WAYS)) * 2 * len(split.test)
    plain = evaluate(model, split.test, k=(1, 3), seed=split.seed)
    of_plain = per_user[per_user["way"] == PLAIN]
    assert of_plain["ndcg@10"].tolist() == plain.per_user["ndcg@10"].tolist()
    share = of_plain.groupby("k")["tail_share@10"].mean()
    assert share.tolist() == pytest.approx(plain.catalogue["tail_share@10"].tolist())
    # Half of the quality may go: every way has room to show more of the tail.
    means = per_user.groupby("way")["tail_share@10"].mean()
    assert (means.drop(PLAIN) > means[PLAIN]).all()
    assert catalogue.groupby("way")["k"].apply(list).map(set).eq({1, 3}).all()
