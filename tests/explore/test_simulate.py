"""Sessions with users whose answers are known."""

import pytest
import torch

from graphmeta.data import ColdSplit
from graphmeta.errors import ConfigError, DataError
from graphmeta.explore import Belief, Corrected, Greedy, Popularity, Thompson, simulate_sessions
from graphmeta.explore.simulate import all_items, session_half


def test_users_take_what_is_theirs(belief: Belief, split: ColdSplit) -> None:
    users = split.test
    found = simulate_sessions(belief, Thompson(1.0), users, k=1, n_rounds=3, slate=4)
    shown, after = found.shown, found.after
    assert len(shown) == 12 * len(after)
    assert not shown.duplicated(["user", "item"]).any()
    row = dict(zip(users.user_ids.ids.tolist(), range(len(users)), strict=True))
    owns, may = all_items(users), session_half(users, 0)
    for user, item, taken in zip(shown["user"], shown["item"], shown["is_taken"], strict=True):
        index = int(users.item_ids.to_index([item])[0])
        assert bool(owns[row[user], index]) == taken
        assert bool(may[row[user], index])
        assert index != int(users.first.item_index[row[user], 0])
    by_user = shown.groupby("user")["is_taken"].sum()
    assert by_user[after["user"]].tolist() == after["n_taken"].tolist()
    left = (after["n_takeable"] - after["n_taken"]).tolist()
    assert found.takeable.sum(1).tolist() == left
    assert after[["ndcg@10", "corrected_ndcg@10"]].to_numpy().min() >= 0
    assert after[["ndcg@10", "corrected_ndcg@10"]].to_numpy().max() <= 1


def test_who_is_popular_is_shown_first(belief: Belief, split: ColdSplit) -> None:
    users = split.test
    found = simulate_sessions(belief, Popularity(users.item_count), users, k=0, n_rounds=1, slate=1)
    may = session_half(users, 0)
    kept = torch.from_numpy(users.user_ids.find(found.after["user"]).numpy())
    count = users.item_count[users.item_ids.to_index(found.shown["item"])]
    assert torch.equal(count, (users.item_count * may[kept]).max(1).values)


def test_greedy_takes_more_than_chance(belief: Belief, split: ColdSplit) -> None:
    found = simulate_sessions(belief, Greedy(), split.test, k=3, n_rounds=2, slate=5)
    chance = (found.after["n_takeable"] / (len(split.test.item_ids) / 2)).mean()
    assert found.shown["is_taken"].mean() > chance


def test_the_same_seed_is_the_same_session(belief: Belief, split: ColdSplit) -> None:
    runs = [
        simulate_sessions(belief, policy, split.test, k=1, n_rounds=2, slate=3, seed=seed).shown
        for policy, seed in ((Thompson(1.0), 0), (Thompson(1.0), 0), (Corrected(), 0))
    ]
    assert runs[0].equals(runs[1])
    assert not runs[0].equals(runs[2])


def test_what_cannot_be_simulated(belief: Belief, split: ColdSplit) -> None:
    for rounds, slate in ((0, 1), (1, 0), (100, 100)):
        with pytest.raises(ConfigError, match="items left to show"):
            simulate_sessions(belief, Greedy(), split.test, k=1, n_rounds=rounds, slate=slate)
    with pytest.raises(ConfigError, match="k=99"):
        simulate_sessions(belief, Greedy(), split.test, k=99, n_rounds=1, slate=1)
    nobody = split.test.select(torch.arange(0))
    with pytest.raises(DataError, match="no user has 5 items"):
        simulate_sessions(belief, Greedy(), nobody, k=1, n_rounds=1, slate=1)
