"""A saved recommender scores as it did, and a file that cannot be read says why."""

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.nn import HGTConv

from graphmeta.data import ColdSplit, from_frame, planted_interactions, split_cold_users
from graphmeta.errors import ConfigError, DataError, DataNotFoundError, OutputError
from graphmeta.meta import ANIL, MAML, RidgeHead
from graphmeta.ranking import ColdStartRecommender, bundle

# One of each format, written by the release that introduced it, and what it recommends.
OLD = Path(__file__).parent / "bundles"
HISTORY = ["i1", "i5", "i9"]


@pytest.fixture(scope="module")
def split() -> ColdSplit:
    graph = from_frame(planted_interactions(), rating="rating", time="time")
    graph["item"].x = (torch.arange(100).view(-1, 1) % torch.tensor([2, 3, 5]) == 0).float()
    graph["user"].x = torch.linspace(-1, 1, 200).view(-1, 1)
    return split_cold_users(graph, seed=0)


def small(**options: Any) -> ColdStartRecommender:
    return ColdStartRecommender(channels=8, epochs=1, min_steps=1, seed=3, **options)


@pytest.fixture(scope="module")
def model(split: ColdSplit) -> ColdStartRecommender:
    return small(num_neighbors=(3, 2), without=["content"]).fit(split.train, split.validation)


@pytest.fixture
def saved(model: ColdStartRecommender, tmp_path: Path) -> Path:
    model.save(tmp_path / "film.gm")
    return tmp_path / "film.gm"


def scores(model: ColdStartRecommender, split: ColdSplit) -> dict[int, Tensor]:
    return {k: model.score(split.test.support(k)) for k in (0, 1, 3, 5)}


def test_a_loaded_one_scores_as_the_saved_one(
    model: ColdStartRecommender, split: ColdSplit, saved: Path
) -> None:
    loaded = ColdStartRecommender.load(saved)
    for k, wanted in scores(model, split).items():
        assert torch.equal(loaded.score(split.test.support(k)), wanted)
    assert (loaded.gate, loaded.blend) == (model.gate, model.blend)
    assert loaded.recommend(HISTORY) == model.recommend(HISTORY)
    assert loaded.fingerprint == model.fingerprint
    params = {name: loaded.get_params()[name] for name in loaded.get_params() if name != "without"}
    assert params == {name: model.get_params()[name] for name in params}
    # And may be saved again, to the same bytes.
    again = saved.with_name("again.gm")
    loaded.save(again)
    assert again.read_bytes() == saved.read_bytes()


@pytest.mark.parametrize("kind", ["hgt", "ridge"])
def test_a_learner_of_the_callers(split: ColdSplit, tmp_path: Path, kind: str) -> None:
    def build() -> MAML | RidgeHead:
        encoder = HGTConv(8, 8, split.train.metadata(), heads=2)
        return MAML(encoder, inner_steps=1) if kind == "hgt" else RidgeHead(encoder)

    model = small(learner=build()).fit(split.train)
    path = tmp_path / "own.gm"
    model.save(path)
    loaded = ColdStartRecommender.load(path, learner=build())
    for k, wanted in scores(model, split).items():
        assert torch.equal(loaded.score(split.test.support(k)), wanted)
    with pytest.raises(
        ConfigError, match=r"learner of its own, .*\(HGTConv\(\.\.\.\)\); build one"
    ):
        ColdStartRecommender.load(path)
    other = ANIL(HGTConv(8, 8, split.train.metadata(), heads=4))
    with pytest.raises(DataError, match=r"do not fit ANIL\(HGTConv\(\.\.\.\)\) \("):
        ColdStartRecommender.load(path, learner=other)


@pytest.mark.parametrize(
    "ids", [[10, 20, 30], ["a", "b", "ä 😀"], [1.5, 2.5, 3.5], [True, False, 3], [("a", 1)] * 3]
)
def test_ids_keep_their_kind(ids: list[Any], tmp_path: Path) -> None:
    rows = [(u, i) for u in range(4) for i in range(3) if (u + i) % 3]
    graph = from_frame(pd.DataFrame(rows, columns=["user", "item"]))
    model = ColdStartRecommender(channels=2, epochs=0).fit(graph)
    index = pd.Index(ids, tupleize_cols=False)
    graph["item"].id_map._ids = index
    if isinstance(ids[0], bool | tuple):
        with pytest.raises(DataError, match=r"item ids .*use texts or numbers"):
            model.save(tmp_path / "m.gm")
        return
    model.save(tmp_path / "m.gm")
    loaded = ColdStartRecommender.load(tmp_path / "m.gm")
    assert [item for item, _ in loaded.recommend([], 3)] == [i for i, _ in model.recommend([], 3)]
    assert loaded.recommend(ids[:1], 2) == model.recommend(ids[:1], 2)


def test_no_user_id_is_in_the_file(model: ColdStartRecommender, saved: Path) -> None:
    with zipfile.ZipFile(saved) as archive:
        content = b"".join(archive.read(name) for name in archive.namelist())
    ids = [str(u).encode() for u in model.train_graph["user"].id_map.ids]
    assert len(ids) > 100
    assert not [u for u in ids if len(u) > 2 and u in content]


def test_a_damaged_file_is_refused(saved: Path, tmp_path: Path) -> None:
    content = saved.read_bytes()
    bad = tmp_path / "bad.gm"
    middle = len(content) // 2
    flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    for damaged in (b"", b"no zip", content[:-100], content[100:], flipped):
        bad.write_bytes(damaged)
        with pytest.raises(DataError, match=r"bad\.gm is damaged or no bundle|is not what was"):
            ColdStartRecommender.load(bad)
    # A part with a password, and one of a compression that nobody knows.
    header = content.index(b"PK\x01\x02")
    for at, value in ((8, 1), (10, 99)):
        bad.write_bytes(content[: header + at] + bytes([value]) + content[header + at + 1 :])
        with pytest.raises(DataError, match="is damaged or no bundle"):
            ColdStartRecommender.load(bad)
    with pytest.raises(DataNotFoundError, match=r"no file .*none\.gm"):
        ColdStartRecommender.load(tmp_path / "none.gm")
    with pytest.raises(DataError, match="is damaged or no bundle"):
        ColdStartRecommender.load(tmp_path)


def rewritten(saved: Path, path: Path, change: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(saved) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            new.writestr(name, change.get(name, old.read(name)))
    return path


def test_a_part_that_was_changed_is_refused(saved: Path, tmp_path: Path) -> None:
    path = rewritten(saved, tmp_path / "m.gm", {"config.json": b"{}"})
    with pytest.raises(DataError, match=r"config\.json in .* is not what was saved"):
        ColdStartRecommender.load(path)


def test_a_later_format_is_refused(saved: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(saved) as archive:
        manifest = json.loads(archive.read("manifest.json"))
    manifest |= {"format": bundle.FORMAT + 1, "graphmeta": "9.0"}
    content = json.dumps(manifest).encode()
    path = rewritten(saved, tmp_path / "m.gm", {"manifest.json": content})
    with pytest.raises(
        DataError, match=rf"has format {bundle.FORMAT + 1}, written by graphmeta 9\.0; .*upgrade"
    ):
        ColdStartRecommender.load(path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda b: b.config.pop("settings"),
        lambda b: b.config.pop("gate"),
        lambda b: b.config.update(gate={"x": 1}),
        lambda b: b.config["settings"].pop("channels"),
        lambda b: b.config["settings"].update(channels="x"),
        lambda b: b.config["settings"].update(epochs="x"),
        lambda b: b.tensors.pop("learner"),
        lambda b: b.tables.pop("item_ids"),
    ],
)
def test_a_missing_or_wrong_part_is_named_with_the_file(
    saved: Path, damage: Callable[[bundle.Bundle], Any]
) -> None:
    content = bundle.read_bundle(saved)
    damage(content)
    bundle.write_bundle(saved, content)
    with pytest.raises(DataError, match=r"film\.gm lacks a part, or has a wrong one .*save it"):
        ColdStartRecommender.load(saved)


def test_settings_of_numpy_are_saved(graph: HeteroData, tmp_path: Path) -> None:
    settings = {
        "channels": np.int64(4),
        "epochs": np.int64(0),
        "lr": np.float32(0.25),
        "num_neighbors": (np.int64(3), 2),
        "seed": np.int64(3),
    }
    model = ColdStartRecommender(**settings).fit(graph)
    model.save(tmp_path / "m.gm")
    loaded = ColdStartRecommender.load(tmp_path / "m.gm")
    params = loaded.get_params()
    assert {name: params[name] for name in settings} == settings
    plain = ColdStartRecommender(channels=4, epochs=0, lr=0.25, num_neighbors=(3, 2), seed=3)
    assert loaded.fingerprint == plain.fit(graph).fingerprint


def test_a_setting_of_a_later_release_is_refused(saved: Path) -> None:
    content = bundle.read_bundle(saved)
    content.config["settings"]["temperature"] = 2.0
    bundle.write_bundle(saved, content)
    with pytest.raises(DataError, match="setting 'temperature', which this release does not"):
        ColdStartRecommender.load(saved)


def test_a_file_that_cannot_be_written_leaves_the_old_one(
    model: ColdStartRecommender, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = saved.read_bytes()

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "writestr", full)
    with pytest.raises(OutputError, match=r"cannot write .*film\.gm: No space left"):
        model.save(saved)
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


def test_what_cannot_be_saved(model: ColdStartRecommender, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not fitted"):
        small().save(tmp_path / "m.gm")
    with pytest.raises(OutputError, match="cannot write"):
        model.save(tmp_path / "no" / "m.gm")


def test_other_nodes_are_not_forgotten_in_silence(graph: HeteroData, tmp_path: Path) -> None:
    model = ColdStartRecommender(channels=2, epochs=0).fit(graph)
    graph["user", "follows", "user"].edge_index = torch.tensor([[0], [1]])
    with pytest.raises(DataError, match=r"not \('user', 'follows', 'user'\); train on a graph"):
        model.save(tmp_path / "m.gm")


@pytest.fixture
def graph() -> HeteroData:
    return from_frame(planted_interactions())


@pytest.mark.parametrize("version", range(1, bundle.FORMAT + 1))
def test_a_file_of_every_format_is_read(tmp_path: Path, version: int) -> None:
    shutil.copy(OLD / f"format-{version}.gm", tmp_path / "old.gm")
    loaded = ColdStartRecommender.load(tmp_path / "old.gm")
    wanted = json.loads((OLD / f"format-{version}.json").read_text())
    assert (loaded.linear is None) == (version in (1, 4))
    assert bool(loaded.fitted.new_items) == (version == 4)
    found = loaded.recommend(wanted["history"], 3)
    assert list(found.items) == wanted["items"]
    assert found.scores == pytest.approx(wanted["scores"], abs=1e-4)
    assert found.source == wanted["source"]
