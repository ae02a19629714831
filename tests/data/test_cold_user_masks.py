"""The masks against the split that they stand for."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import HeteroData
from torch_geometric.transforms import Compose, ToUndirected

from graphmeta.data import from_frame, split_cold_users, split_hash
from graphmeta.data.cold_user_masks import ColdUserMasks
from graphmeta.errors import DataError

RATES = ("user", "rates", "movie")


def ids_under(graph: HeteroData, name: str) -> list[object]:
    return list(graph["user"].id_map.ids[graph["user"][name].numpy()])


def test_users_by_hand() -> None:
    """Ten users of each role, one of whom has too few items; user 9999 has no edge."""
    roles: dict[str, list[int]] = {"train": [], "val": [], "test": []}
    for user in range(1000):
        x = split_hash(f"4/{user}")
        role = roles["test" if x < 0.1 else "val" if x < 0.2 else "train"]
        if len(role) < 10:
            role.append(user)
    short = roles["test"][3]
    frame = pd.DataFrame(
        [(u, i) for users in roles.values() for u in users for i in range(2 if u == short else 9)],
        columns=["user", "item"],
    )
    graph = ColdUserMasks(seed=4, k_max=3)(from_frame(frame))
    assert ids_under(graph, "train_mask") == roles["train"]
    assert ids_under(graph, "val_mask") == roles["val"]
    assert ids_under(graph, "test_mask") == [u for u in roles["test"] if u != short]


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.booleans(), st.sampled_from([None, 2, 6]))
def test_they_are_the_users_of_the_split(seed: int, with_time: bool, k_max: int | None) -> None:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({c: rng.integers(0, 90, 2000) for c in ("user", "item", "time")})
    graph = from_frame(frame, time="time" if with_time else None)
    try:
        split = split_cold_users(graph, seed=seed, k_max=k_max)
    except DataError as error:
        with pytest.raises(DataError, match=str(error)[:20]):
            ColdUserMasks(seed=seed, k_max=k_max)(graph)
        return
    masked = ColdUserMasks(seed=seed, k_max=k_max)(graph)
    assert ids_under(masked, "train_mask") == list(split.train["user"].id_map.ids)
    assert ids_under(masked, "val_mask") == list(split.validation.user_ids.ids)
    assert ids_under(masked, "test_mask") == list(split.test.user_ids.ids)


def test_a_graph_of_pyg_needs_no_id_map_and_keeps_what_it_has() -> None:
    generator = torch.Generator().manual_seed(0)
    data = HeteroData()
    data["user"].num_nodes, data["movie"].x = 101, torch.eye(40)
    data[RATES].edge_index = (torch.rand(100, 40, generator=generator) < 0.5).nonzero().T
    masked = Compose([ToUndirected(), ColdUserMasks(seed=1, k_max=3, edge_type=RATES)])(data)
    train, val, test = (masked["user"][f"{name}_mask"] for name in ("train", "val", "test"))
    hashes = torch.tensor([split_hash(f"1/{u}") for u in range(101)])
    assert torch.equal(test[:100], hashes[:100] < 0.1)
    assert torch.equal(val[:100], (hashes[:100] >= 0.1) & (hashes[:100] < 0.2))
    assert torch.equal(train[:100], hashes[:100] >= 0.2)
    assert not bool((train | val | test)[100])  # No edge.
    assert torch.equal(masked[RATES].edge_index, data[RATES].edge_index)
    assert "train_mask" not in data["user"]


def test_bad_input(planted_graph: HeteroData) -> None:
    with pytest.raises(DataError, match="no edge type"):
        ColdUserMasks(edge_type=RATES)(planted_graph)
    with pytest.raises(DataError, match="no validation user has the 30 interactions"):
        ColdUserMasks(k_max=25)(planted_graph)


def test_the_options_are_in_its_name() -> None:
    assert repr(ColdUserMasks(seed=3)) != repr(ColdUserMasks(seed=4))
    assert repr(ColdUserMasks(k_max=3)).startswith("ColdUserMasks(seed=0, k_max=3, ")
