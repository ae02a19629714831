import hashlib

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphmeta.data import (
    from_frame,
    hold_out_validation,
    load_named,
    split_cold_users,
    split_hash,
)
from graphmeta.errors import ConfigError, DataError


def h(text):
    return int(hashlib.md5(text.encode()).hexdigest()[:8], 16) / 2**32


def reference_split(frame, seed, with_time):
    """The rule of the protocol in plain Python, row by row."""
    histories, seen = {}, set()
    for row in frame.itertuples():
        if (row.user, row.item) not in seen:
            seen.add((row.user, row.item))
            histories.setdefault(row.user, []).append((row.time, row.item))
    role = {}
    for user in histories:
        x = h(f"{seed}/{user}")
        role[user] = "test" if x < 0.1 else "validation" if x < 0.2 else "train"
    catalogue = {i for u in histories if role[u] == "train" for _, i in histories[u]}
    sparse = np.median([len(v) for v in histories.values()]) < 10
    k_max, need = (5, 6) if sparse else (10, 15)
    out = {"validation": {}, "test": {}}
    for user, history in histories.items():
        if role[user] == "train":
            continue
        key = (lambda e: e) if with_time else (lambda e: (h(f"{seed}/{user}/{e[1]}"), e[1]))  # noqa: B023
        items = [i for _, i in sorted(history, key=key) if i in catalogue]
        if len(items) >= need:
            out[role[user]][user] = (items[:k_max], items[k_max:])
    return catalogue, out


def as_dict(split, part):
    users = getattr(split, part)
    items = split.train["item"].id_map
    first = items.to_ids(users.first.item_index)
    return {
        u: (list(first[n]), list(items.to_ids(users.query(n))))
        for n, u in enumerate(users.user_ids.ids)
    }


def random_frame(seed, per_user, n_users=80, text_ids=False):
    rng = np.random.default_rng(seed)
    n = n_users * per_user
    frame = pd.DataFrame(
        {
            "user": rng.integers(0, n_users, n),
            "item": rng.integers(0, 60, n),
            "time": rng.integers(0, 30, n),
        }
    )
    return frame.astype({"user": str, "item": str}) if text_ids else frame


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([8, 30]), st.booleans(), st.booleans())
def test_agrees_with_the_plain_reference(seed, per_user, with_time, text_ids):
    frame = random_frame(seed, per_user, text_ids=text_ids)
    graph = from_frame(frame, time="time" if with_time else None)
    catalogue, expected = reference_split(frame, seed, with_time)
    if not (expected["validation"] and expected["test"]):
        with pytest.raises(DataError, match="interactions that k_max"):
            split_cold_users(graph, seed=seed)
        return
    split = split_cold_users(graph, seed=seed)
    assert set(split.train["item"].id_map.ids) == catalogue
    for part in ("validation", "test"):
        assert as_dict(split, part) == expected[part]


def test_hash_is_the_published_one():
    assert split_hash("0/12") == h("0/12")


def test_support_and_training_edges_keep_their_attributes():
    frame = random_frame(1, 30)
    frame["rating"] = (frame["user"] * 7 + frame["item"]) % 5
    frame = frame.drop_duplicates(["user", "item"])
    graph = from_frame(frame, rating="rating", time="time", user_features=None)
    split = split_cold_users(graph, seed=1)
    known = {(r.user, r.item): (r.rating, r.time) for r in frame.itertuples()}
    items = split.train["item"].id_map
    first = split.test.first
    for n, user in enumerate(split.test.user_ids.ids):
        for j, item in enumerate(items.to_ids(first.item_index[n])):
            assert known[user, item] == (first.rating[n, j], first.time[n, j])
    store = split.train["user", "rates", "item"]
    users = split.train["user"].id_map.to_ids(store.edge_index[0])
    edge_items = items.to_ids(store.edge_index[1])
    for user, item, rating in zip(users, edge_items, store.rating.tolist(), strict=True):
        assert known[user, item][0] == rating


def test_held_out_users_carry_the_catalogue_and_its_training_users():
    frame = random_frame(2, 30).drop_duplicates(["user", "item"])
    split = split_cold_users(from_frame(frame), seed=2)
    trained = frame[[h(f"2/{u}") >= 0.2 for u in frame["user"]]]
    for users in (split.validation, split.test):
        counted = dict(zip(users.item_ids.ids.tolist(), users.item_count.tolist(), strict=True))
        assert counted == trained["item"].value_counts().to_dict()
        assert users.n_train_users == trained["user"].nunique()


def test_ml_1m_matches_the_published_sizes(data_root):
    split = split_cold_users(load_named("ml-1m", data_root=data_root, item_features=False))
    sizes = (split.train["user"].num_nodes, len(split.validation), len(split.test))
    assert sizes == (4807, 568, 665)
    assert split.train["item"].num_nodes == 3678
    assert split.k_max == 10


def test_too_little_history_is_one_clear_line():
    frame = pd.DataFrame({"user": range(60), "item": [i % 3 for i in range(60)]})
    with pytest.raises(DataError, match="no validation user has the 6 interactions"):
        split_cold_users(from_frame(frame))


def test_k_max_below_one_is_refused():
    with pytest.raises(ConfigError, match="k_max=0 is below 1"):
        split_cold_users(from_frame(random_frame(0, 30)), k_max=0)


def test_validation_alone_can_be_held_out(planted_graph):
    split = split_cold_users(planted_graph, seed=2)
    train, validation = hold_out_validation(planted_graph, seed=2)
    assert list(validation.user_ids.ids) == list(split.validation.user_ids.ids)
    ids = set(train["user"].id_map.ids)
    held_out = {u for u in planted_graph["user"].id_map.ids if 0.1 <= h(f"2/{u}") < 0.2}
    assert ids == set(planted_graph["user"].id_map.ids) - held_out
    assert ids > set(split.train["user"].id_map.ids)
    with pytest.raises(DataError, match="no validation user has the 101 interactions"):
        hold_out_validation(planted_graph, k_max=96)
