"""The rules that choose support sizes and split seeds."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from graphmeta.data import planted_interactions
from graphmeta.errors import ConfigError, DataError
from graphmeta.experiments.run_data import RunData, load_run_data
from graphmeta.experiments.settings import ColdStartSettings


def load(path: Path, frame: pd.DataFrame, **values: object) -> RunData:
    file = path / "data.parquet"
    frame.to_parquet(file)
    return load_run_data(ColdStartSettings(interactions=file, time_col="time", **values))


def test_seeds_are_added_until_enough_users_are_ranked(tmp_path: Path) -> None:
    frame = planted_interactions(200, 60)
    data = load(tmp_path, frame, min_users=50)
    counts = [len(split.test) for split in data.splits]
    assert data.settings.seeds == tuple(range(len(counts)))
    assert sum(counts) >= 50
    assert sum(counts[:-1]) < 50
    assert data.notices == ()
    assert data.sizes == {"users": 200, "items": 60, "interactions": 4000}


def test_a_quick_run_has_one_seed(tmp_path: Path) -> None:
    assert load(tmp_path, planted_interactions(200, 60), quick=True).settings.seeds == (0,)


def test_too_few_users_are_told(tmp_path: Path) -> None:
    data = load(tmp_path, planted_interactions(100, 60), min_users=10**6)
    assert len(data.splits) == 20
    assert "fewer than 1000000" in data.notices[0]


def test_support_sizes_follow_sparse_data(tmp_path: Path) -> None:
    data = load(tmp_path, planted_interactions(200, 60, per_user=8), seeds=(0,))
    assert data.settings.k == (0, 1, 3, 5)
    assert data.settings.k_max == 5
    assert data.notices == ("support sizes above 5 are left out (10)",)


def test_a_larger_k_asks_for_longer_histories(tmp_path: Path) -> None:
    data = load(tmp_path, planted_interactions(200, 60), seeds=(0,), k=(0, 12))
    assert data.splits[0].k_max == 12
    assert "above the usual 10" in data.notices[0]
    with pytest.raises(ConfigError, match=r"k=20 is larger than any history .*20 interactions"):
        load(tmp_path, planted_interactions(200, 60), seeds=(0,), k=(20,))
    with pytest.raises(DataError, match="that k_max=19 needs"):
        load(tmp_path, planted_interactions(200, 60), seeds=(0,), k=(19,))


def test_fingerprint_tells_data_apart(tmp_path: Path) -> None:
    frame = planted_interactions(100, 60)
    one = load(tmp_path, frame, seeds=(0,)).fingerprint
    assert load(tmp_path, frame, seeds=(1,)).fingerprint == one
    changed = frame.assign(time=frame["time"] + (frame.index == 7))
    assert load(tmp_path, changed, seeds=(0,)).fingerprint != one


def test_splits_in_time_train_on_shorter_and_shorter_pasts(tmp_path: Path) -> None:
    frame = planted_interactions(400, 60)
    # Users arrive one after the other.
    arrival = frame["user"].str[1:].astype(int)
    frame = frame.assign(time=100.0 * arrival + frame.groupby("user").cumcount())
    data = load(tmp_path, frame, split="global-time", seeds=(0, 2))
    assert [split.seed for split in data.splits] == [0, 2]
    for split, past in zip(data.splits, (0.8, 0.6), strict=True):
        trained = split.train["user", "rates", "item"]
        assert trained.edge_index.size(1) == pytest.approx(past * len(frame), rel=0.01)
        times = split.test.support(1).time
        assert times is not None
        assert float(times.min()) > float(trained.time.max())
    assert len(load(tmp_path, frame, split="global-time", min_users=10**6).splits) == 8
    with pytest.raises(ConfigError, match="seed=8 leaves nothing to train on"):
        load(tmp_path, frame, split="global-time", seeds=(8,))


def test_a_split_in_time_needs_times(tmp_path: Path) -> None:
    file = tmp_path / "data.parquet"
    planted_interactions(100, 60).drop(columns="time").to_parquet(file)
    with pytest.raises(DataError, match="the graph has no edge times"):
        load_run_data(ColdStartSettings(interactions=file, split="global-time"))
