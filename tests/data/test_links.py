"""Social links: read, cut with the graph, and brought along by held-out users."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch_geometric.data import HeteroData

from graphmeta.data import (
    ColdSplit,
    ColdUsers,
    from_frame,
    inject_profiles,
    join_domains,
    planted_interactions,
    split_cold_items,
    split_cold_users,
    split_cross_domain,
    split_domains,
    split_global_time,
    target_alone,
    with_domains,
    with_links,
    without_users,
)
from graphmeta.data.id_map import IdMap
from graphmeta.data.links import TRUSTS, LinkLists, translated_links
from graphmeta.errors import DataError


def _links(n_users: int = 200, *, step: int = 4) -> pd.DataFrame:
    """Every user is linked to the next two of the same taste."""
    users = np.arange(n_users).repeat(2)
    friends = (users + np.tile([step, 2 * step], n_users)) % n_users
    return pd.DataFrame({"user": [f"u{u}" for u in users], "friend": [f"u{u}" for u in friends]})


@pytest.fixture(scope="module")
def linked() -> HeteroData:
    return with_links(from_frame(planted_interactions(), time="time"), _links())


def _pairs(graph: HeteroData) -> set[tuple[str, str]]:
    ids = graph["user"].id_map
    return {(a, b) for a, b in ids.to_ids(graph[TRUSTS].edge_index).T.tolist()}


def _brought(users: ColdUsers, split: ColdSplit) -> set[tuple[str, str]]:
    """Return the links of held-out users by id, and check their padding."""
    links = users.first.links
    assert links is not None
    assert bool(((links >= 0).int().diff(dim=1) <= 0).all())  # Padding stands behind.
    ids = split.train["user"].id_map.ids
    return {
        (user, ids[row])
        for user, rows in zip(users.user_ids.ids, links.tolist(), strict=True)
        for row in rows
        if row >= 0
    }


def test_links_stay_where_the_graph_changes_otherwise(linked: HeteroData) -> None:
    attacked = inject_profiles(linked, torch.tensor([0]), profile_size=3)
    assert _pairs(attacked) == _pairs(linked)
    left = without_users(linked, torch.from_numpy(linked["user"].id_map.ids == "u5"))
    assert _pairs(left) == {pair for pair in _pairs(linked) if "u5" not in pair}
    domains = {item: "ab"[row % 2] for row, item in enumerate(linked["item"].id_map.ids)}
    apart = split_domains(with_domains(linked, domains))
    assert torch.equal(apart[TRUSTS].edge_index, linked[TRUSTS].edge_index)
    assert torch.equal(join_domains(apart)[TRUSTS].edge_index, linked[TRUSTS].edge_index)


def test_what_is_no_link_is_left_out() -> None:
    table = pd.DataFrame({"user": ["a", "a", "b", "b"], "item": ["i", "j", "i", "j"]})
    graph = from_frame(table)
    given = pd.DataFrame(
        {"who": ["a", "a", "b", "a", "b", "z"], "whom": ["b", "b", "b", "z", "a", "a"]}
    )
    assert _pairs(with_links(graph, given, user="who", friend="whom")) == {("a", "b"), ("b", "a")}
    one = with_links(graph, given[:1], user="who", friend="whom")
    assert _pairs(one) == {("a", "b")}
    both = with_links(graph, given[:1], user="who", friend="whom", is_mutual=True)
    assert _pairs(both) == {("a", "b"), ("b", "a")}
    assert TRUSTS not in graph.edge_types


def test_what_cannot_be_read(planted_graph: HeteroData) -> None:
    with pytest.raises(DataError, match="no column 'friend' among user, item"):
        with_links(planted_graph, pd.DataFrame({"user": [], "item": []}))
    with pytest.raises(DataError, match="none of the 1 links joins two of the 200 users"):
        with_links(planted_graph, pd.DataFrame({"user": [1], "friend": [2]}))


def test_lists_of_links_are_padded() -> None:
    lists = LinkLists(torch.tensor([[2, 0, 2, 2], [5, 6, 4, 6]]), 4)
    wanted = torch.tensor([[5, 4, 6], [-1, -1, -1], [6, -1, -1]])
    assert torch.equal(lists.of(torch.tensor([2, 1, 0])), wanted)
    assert lists.of(torch.tensor([1, 3])).shape == (2, 0)
    assert lists.of(torch.tensor([], dtype=torch.long)).shape == (0, 0)


def test_links_are_translated_by_id() -> None:
    links = torch.tensor([[0, 2, -1], [1, -1, -1]])
    found = translated_links(links, IdMap(["a", "b", "c"]), IdMap(["c", "a"]))
    assert found is not None
    assert found.tolist() == [[1, 0, -1], [-1, -1, -1]]
    assert translated_links(None, IdMap(["a"]), IdMap(["a"])) is None


@pytest.mark.parametrize("by", ["hash", "time", "new items"])
def test_training_keeps_its_links_and_new_users_bring_those_to_it(
    linked: HeteroData, by: str
) -> None:
    if by == "hash":
        split = split_cold_users(linked, seed=0)
    elif by == "time":
        table = planted_interactions()
        late = table["user"].isin([f"u{u}" for u in range(40)])
        table["time"] += late * 10**6 + table["user"].isin([f"u{u}" for u in range(20)]) * 10**6
        split = split_global_time(with_links(from_frame(table, time="time"), _links()), k_max=3)
    else:
        linked["item"].x = torch.eye(100)
        split = split_cold_items(linked, seed=0, share=0.3, k_max=3)
        del linked["item"].x
    train, links = set(split.train["user"].id_map.ids), list(_links().itertuples(index=False))
    assert _pairs(split.train) == {(a, b) for a, b in links if a in train and b in train}
    for users in (split.validation, split.test):
        held = set(users.user_ids.ids)
        assert held.isdisjoint(train)
        assert _brought(users, split) == {(a, b) for a, b in links if a in held and b in train}


def test_links_go_along_with_users(linked: HeteroData) -> None:
    users = split_cold_users(linked, seed=0).test
    links = users.first.links
    assert links is not None
    rows = torch.tensor([3, 1])
    for k in (0, 3):
        assert torch.equal(users.select(rows).support(k).links, links[rows])
    support = users.support(3)
    assert torch.equal(support.at(slice(0, 1)).links, links)
    assert torch.equal(support.to("cpu").links, links)


def test_in_one_domain_links_are_to_those_who_are_there(linked: HeteroData) -> None:
    names = {i: "film" if int(i[1:]) < 20 else "book" for i in linked["item"].id_map.ids}
    split = split_cross_domain(with_domains(linked, names), "film", seed=0, k_max=1)
    alone = target_alone(split)
    there = set(alone.train["user"].id_map.ids)
    known = _brought(split.test, split)
    assert _brought(alone.test, alone) == {(a, b) for a, b in known if b in there}
    assert known


def test_without_links_there_are_none(planted_graph: HeteroData) -> None:
    split = split_cold_users(planted_graph, seed=0)
    assert TRUSTS not in split.train.edge_types
    assert split.test.first.links is None
