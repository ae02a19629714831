"""The methods of the table, and that none of them can look at the test users."""

from __future__ import annotations

from pathlib import Path

import pytest
from torch_geometric.data import HeteroData

from graphmeta.data import ColdSplit, from_frame, planted_interactions, split_cold_users
from graphmeta.errors import ConfigError
from graphmeta.experiments.methods import METHODS, Method, choose_methods, small_space
from graphmeta.experiments.seed_run import SeedRun
from graphmeta.experiments.settings import ColdStartSettings
from graphmeta.ranking import Scorer, baselines, check_query_blind, evaluate
from graphmeta.ranking.tuning import Axis, SearchSpace

SETTINGS = ColdStartSettings(quick=True, epochs=1, channels=4, k=(0, 1, 3), k_max=10)


@pytest.fixture(scope="module")
def split() -> ColdSplit:
    graph: HeteroData = from_frame(planted_interactions(160, 60, per_user=20), time="time")
    return split_cold_users(graph, seed=0)


def seed_run(split: ColdSplit, folder: Path) -> SeedRun:
    return SeedRun.of(split, SETTINGS, folder, lambda epoch, epochs, loss: None)


def test_order_and_choice() -> None:
    names = [method.name for method in METHODS]
    assert names[:2] == ["random", "popularity"]
    assert names[-3:] == ["fine-tuned", "unadapted", "adapted"]
    published = ["melu", "tanp", "mamo"]
    assert [m.name for m in choose_methods(None)] == [n for n in names if n not in published]
    assert [m.name for m in choose_methods(["mamo", "melu"])] == ["melu", "mamo"]
    assert [m.name for m in choose_methods(["adapted", "popularity"])] == ["popularity", "adapted"]
    assert [m.name for m in METHODS if not m.is_baseline] == names[-3:]


def test_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(ConfigError, match="no method named 'popularty'; did you mean 'popularity'"):
        choose_methods(["popularty"])
    with pytest.raises(ConfigError, match="known: random, popularity"):
        choose_methods(["zzz"])


@pytest.mark.parametrize("method", choose_methods(None), ids=lambda method: method.name)
def test_every_method_prepares_blind_to_the_query(
    method: Method, split: ColdSplit, tmp_path: Path
) -> None:
    folders = iter([tmp_path / "a", tmp_path / "b"])
    for name in "ab":
        (tmp_path / name).mkdir()

    def build(given: ColdSplit) -> Scorer:
        return method.prepare(seed_run(given, next(folders))).scorer

    # PyG's inspector reads a class's source once and remembers it for the next object.
    check_query_blind(build, split, 3, ignore=("inspector",))


def test_preparing_keeps_what_was_chosen(split: ColdSplit, tmp_path: Path) -> None:
    run = seed_run(split, tmp_path)
    chosen = {m.name: m.prepare(run) for m in choose_methods(["user-knn", "unadapted", "adapted"])}
    assert [row["k"] for row in chosen["user-knn"].tuning] == [0, 1, 3]
    assert all(row["ndcg@10"] > 0 for row in chosen["user-knn"].tuning)
    assert chosen["unadapted"].losses == chosen["adapted"].losses
    assert len(chosen["adapted"].losses) == 1
    for prepared in chosen.values():
        found = evaluate(prepared.scorer, split.test, k=(0, 3)).summary()
        assert found["mean"].between(0, 1).all()


def test_small_space_keeps_the_start_and_one_more() -> None:
    space = SearchSpace(
        baselines.EASE,
        {"a": Axis((1, 2, 3, 4), extend="linear", start=3)},
        {"b": Axis(("x",)), "c": Axis((0.0, 1.0))},
    )
    small = small_space(space)
    assert small.axes["a"].values == (3, 1)
    assert small.axes["a"].first == 3
    assert small.axes["b"].values == ("x",)
    assert set(small.axes["c"].values) == {0.0, 1.0}
    assert small.axes["a"].extend is None
