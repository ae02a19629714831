"""Each user is ranked once, as in one process, whatever stops the job on the way."""

import errno
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch

from graphmeta.bulk import PartRanked, rank_in_bulk
from graphmeta.bulk.part_ranker import PartRanker
from graphmeta.errors import (
    ConfigError,
    DataError,
    DataNotFoundError,
    MissingExtraError,
    OutOfMemoryError,
    OutputError,
    UnknownIdError,
)
from graphmeta.ranking import ColdStartRecommender
from graphmeta.store.events import Events

OPTIONS: dict[str, Any] = {"k": 5, "workers": 0, "part_users": 50}


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*"))}


@pytest.fixture(scope="module")
def ranked(bundle: Path, histories: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A job that nothing stopped."""
    out = tmp_path_factory.mktemp("ranked")
    rank_in_bulk(bundle, histories, out, **OPTIONS)
    return out


def test_every_user_is_ranked_once_and_as_in_one_process(
    bundle: Path, table: pd.DataFrame, histories: Path, tmp_path: Path
) -> None:
    threads = torch.get_num_threads()
    told: list[PartRanked] = []
    columns: dict[str, Any] = {"rating": "rating", "time": "time"}
    report = rank_in_bulk(bundle, histories, tmp_path, **OPTIONS, **columns, on_part=told.append)
    assert (report.users, report.parts, report.parts_now) == (300, 6, 6)
    assert (report.unknown, report.skipped, report.folder) == (0, (), tmp_path)
    assert [(part.part, part.done, part.of) for part in told] == [(n, n + 1, 6) for n in range(6)]
    assert {part.worker for part in told} == {os.getpid()}
    assert torch.get_num_threads() == threads
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == [
        "manifest.json",
        *(f"part-{number:05}.parquet" for number in range(6)),
    ]
    parts = [pq.read_table(file).to_pandas() for file in files[1:]]
    assert all(part["user"].is_monotonic_increasing for part in parts)
    found = pd.concat(parts).set_index("user")
    assert found.index.is_unique
    assert set(found.index) == set(table["user"])
    model = ColdStartRecommender.load(bundle)
    wanted = model.recommend_table(table, 5, **columns)
    known = table.drop_duplicates(["user", "item"]).groupby("user").size()
    for user, rows in wanted.groupby("user"):
        row = found.loc[user]
        assert row["items"].tolist() == rows["item"].tolist()
        np.testing.assert_allclose(row["scores"], rows["score"], rtol=1e-4, atol=1e-5)
        assert row["source"] == rows["source"].iloc[0]
        assert row["n_known"] == known[user]


def test_an_order_of_files_is_one_of_time(bundle: Path, tmp_path: Path) -> None:
    model = ColdStartRecommender.load(bundle)
    items = model.item_ids.ids[[5, 50, 7]].tolist()
    # Out of order in the folder, and with numbers of users.
    for number in (2, 0, 1):
        frame = pd.DataFrame({"who": [10, 9], "what": [items[number], items[0]]})
        frame.to_parquet(tmp_path / f"{number}.parquet")
    names: dict[str, Any] = {"user": "who", "item": "what"}
    rank_in_bulk(bundle, tmp_path / "*.parquet", tmp_path / "out", **OPTIONS, **names)
    found = pq.read_table(tmp_path / "out" / "part-00000.parquet").to_pandas()
    assert found["user"].tolist() == [9, 10]
    assert found["n_known"].tolist() == [1, 3]
    assert found["items"][1].tolist() == [*model.recommend(items, 5).items]


def test_a_rerun_ranks_what_is_missing_to_the_same_bytes(
    bundle: Path, histories: Path, ranked: Path, tmp_path: Path
) -> None:
    class Stopped(Exception):
        pass

    def stop(part: PartRanked) -> None:
        if part.done == 2:
            raise Stopped

    out = tmp_path / "out"
    with pytest.raises(Stopped):
        rank_in_bulk(bundle, histories, out, **OPTIONS, on_part=stop)
    times = {path.name: path.stat().st_mtime_ns for path in out.glob("part-*")}
    assert len(times) == 2
    assert rank_in_bulk(bundle, histories, out, **OPTIONS).parts_now == 4
    assert content(out) == content(ranked)
    assert times.items() <= {p.name: p.stat().st_mtime_ns for p in out.glob("part-*")}.items()
    assert rank_in_bulk(bundle, histories, out, **OPTIONS).parts_now == 0
    (out / "part-00003.parquet").unlink()
    assert rank_in_bulk(bundle, histories, out, **OPTIONS).parts_now == 1
    assert content(out) == content(ranked)


def test_a_process_that_is_killed_leaves_what_a_rerun_needs(
    bundle: Path, histories: Path, ranked: Path, tmp_path: Path
) -> None:
    script = (
        "import os, signal, sys\n"
        "from graphmeta.bulk import rank_in_bulk\n"
        "kill = lambda part: part.done == 3 and os.kill(os.getpid(), signal.SIGKILL)\n"
        f"rank_in_bulk(*sys.argv[1:], **{OPTIONS!r}, on_part=kill)\n"
    )
    out = tmp_path / "out"
    call = [sys.executable, "-c", script, str(bundle), str(histories), str(out)]
    assert subprocess.run(call).returncode == -signal.SIGKILL
    assert len([*out.glob("part-*")]) == 3
    assert rank_in_bulk(bundle, histories, out, **OPTIONS).parts_now == 3
    assert content(out) == content(ranked)


def test_other_settings_are_refused(
    bundle: Path, histories: Path, ranked: Path, table: pd.DataFrame, tmp_path: Path
) -> None:
    other = tmp_path / "other.gm"
    graph = ColdStartRecommender.load(bundle).train_graph
    ColdStartRecommender(channels=8, epochs=0, seed=1).fit(graph).save(other)
    table.to_parquet(tmp_path / "other.parquet")
    before = content(ranked)
    for inputs, changed, wanted in (
        ((bundle, histories), {"k": 6}, r"begun with k=5, not 6; run it as it was"),
        ((bundle, histories), {"part_users": 60}, "part_users=50, not 60"),
        ((bundle, histories), {"batch_users": 8}, "batch_users=16, not 8"),
        ((bundle, histories), {"on_unknown": "drop"}, "on_unknown='raise', not 'drop'"),
        ((bundle, histories), {"rating": "rating"}, "'rating': None"),
        ((other, histories), {"batch_users": 16}, "begun with another model"),
        ((bundle, tmp_path / "other.parquet"), {}, "begun with other files"),
    ):
        with pytest.raises(ConfigError, match=wanted):
            rank_in_bulk(*inputs, ranked, **{**OPTIONS, **changed})
    assert content(ranked) == before


def test_a_folder_of_something_else_is_left_alone(
    bundle: Path, histories: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"holds files of something else, such as day-0.parquet"):
        rank_in_bulk(bundle, histories, histories, **OPTIONS)
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(ConfigError, match="is no manifest of a ranking"):
        rank_in_bulk(bundle, histories, tmp_path, **OPTIONS)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot make the folder"):
        rank_in_bulk(bundle, histories, tmp_path / "file", **OPTIONS)


def test_a_call_that_was_refused_leaves_the_folder_to_the_next(
    bundle: Path, histories: Path, ranked: Path, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong.parquet"
    pd.DataFrame({"user": ["a"], "item": [3]}).to_parquet(wrong)
    out = tmp_path / "out"
    with pytest.raises(DataError, match="'item' holds BIGINT"):
        rank_in_bulk(bundle, wrong, out, **OPTIONS)
    assert list(out.iterdir()) == []
    rank_in_bulk(bundle, histories, out, **OPTIONS)
    assert content(out) == content(ranked)


def test_two_runs_do_not_share_a_folder(bundle: Path, histories: Path, tmp_path: Path) -> None:
    def again(part: PartRanked) -> None:
        with pytest.raises(ConfigError, match="another run is at work"):
            rank_in_bulk(bundle, histories, tmp_path, **OPTIONS)

    assert rank_in_bulk(bundle, histories, tmp_path, **OPTIONS, on_part=again).parts_now == 6


def test_a_damaged_file_is_named_or_left_out(
    bundle: Path, histories: Path, table: pd.DataFrame, tmp_path: Path
) -> None:
    folder = tmp_path / "histories"
    shutil.copytree(histories, folder)
    broken = folder / "day-1.parquet"
    whole = broken.read_bytes()
    # Cut short, and spoilt before a whole footer.
    for name, spoilt in (("short", whole[:-100]), ("pages", b"PAR1" + b"\0" * 2000 + whole[2004:])):
        broken.write_bytes(spoilt)
        out = tmp_path / name
        with pytest.raises(DataError, match=r"day-1.parquet is damaged \(.*on_damaged=\"skip\""):
            rank_in_bulk(bundle, folder, out, **OPTIONS)
        assert not [*tmp_path.glob(f"{name}/part-*")]
        skipped = tmp_path / f"{name}-skipped"
        report = rank_in_bulk(bundle, folder, skipped, **OPTIONS, on_damaged="skip")
        assert report.skipped == (str(broken),)
        assert report.users == table.drop(table.index[1::3])["user"].nunique()
        again = rank_in_bulk(bundle, folder, skipped, **OPTIONS, on_damaged="skip")
        assert again.skipped == report.skipped
        assert again.parts_now == 0
    for file in folder.iterdir():
        file.write_bytes(whole[:100] + b"\0" * 400 + whole[500:])
    with pytest.raises(DataError, match="all 3 files are damaged"):
        rank_in_bulk(bundle, folder, tmp_path / "none", **OPTIONS, on_damaged="skip")


def test_unknown_items(bundle: Path, tmp_path: Path) -> None:
    item = ColdStartRecommender.load(bundle).item_ids.ids[3]
    frame = pd.DataFrame({"user": ["ann", "ann", "bob"], "item": [item, "new", "newer"]})
    file = tmp_path / "new.parquet"
    frame.to_parquet(file)
    with pytest.raises(UnknownIdError, match=r"2 interactions .* \(first: 'new', 'newer'\)"):
        rank_in_bulk(bundle, file, tmp_path / "raise", **OPTIONS)
    with pytest.warns(UserWarning, match="2 interactions are with items"):
        rank_in_bulk(bundle, file, tmp_path / "warn", **OPTIONS, on_unknown="warn")
    report = rank_in_bulk(bundle, file, tmp_path / "drop", **OPTIONS, on_unknown="drop")
    assert (report.users, report.unknown) == (2, 2)
    found = pq.read_table(tmp_path / "drop" / "part-00000.parquet").to_pandas()
    assert found["n_known"].tolist() == [1, 0]
    assert found["source"][1] == "popular"


def test_whoever_has_seen_nearly_all_gets_what_is_left(bundle: Path, tmp_path: Path) -> None:
    ids = ColdStartRecommender.load(bundle).item_ids.ids
    shown = [*ids[:-2], *ids]
    users = ["ann"] * (len(ids) - 2) + ["bob"] * len(ids)
    pd.DataFrame({"user": users, "item": shown}).to_parquet(tmp_path / "much.parquet")
    rank_in_bulk(bundle, tmp_path / "much.parquet", tmp_path / "out", **OPTIONS)
    found = pq.read_table(tmp_path / "out" / "part-00000.parquet").to_pydict()
    assert set(found["items"][0]) == set(ids[-2:])
    assert found["items"][1] == found["scores"][1] == []


def test_nobody_makes_one_empty_part(bundle: Path, table: pd.DataFrame, tmp_path: Path) -> None:
    table.iloc[:0].to_parquet(tmp_path / "none.parquet")
    report = rank_in_bulk(bundle, tmp_path / "none.parquet", tmp_path / "out", **OPTIONS)
    assert (report.users, report.parts) == (0, 1)
    found = pq.read_table(tmp_path / "out" / "part-00000.parquet")
    assert found.column_names == ["user", "items", "scores", "source", "n_known"]
    assert found.num_rows == 0


def test_what_cannot_be_ranked_is_told_before_anything_is(
    bundle: Path, histories: Path, table: pd.DataFrame, tmp_path: Path
) -> None:
    def saved(name: str, **columns: Any) -> Path:
        path = tmp_path / f"{name}.parquet"
        table.assign(**columns).to_parquet(path)
        return path

    (tmp_path / "x.csv").write_text("user,item\na,b\n")
    (tmp_path / "broken.gm").write_bytes(b"PK")
    holed = table["item"].where(table.index != 4)
    late = table["time"].where(table.index != 4, -1)
    cases: list[tuple[Any, Any, dict[str, Any], type[Exception], str]] = [
        (tmp_path / "no.gm", histories, {}, DataNotFoundError, r"no file .*no.gm"),
        (tmp_path / "broken.gm", histories, {}, DataError, "is damaged or no bundle"),
        (bundle, tmp_path / "no", {}, DataNotFoundError, "no Parquet or CSV file"),
        (bundle, tmp_path / "x.csv", {}, DataError, "not Parquet files"),
        (bundle, histories, {"item": "itm"}, DataError, "did you mean 'item'"),
        (
            bundle,
            saved("holed", item=holed),
            {},
            DataError,
            "ids in column 'item' are missing",
        ),
        (bundle, saved("late", time=late), {"time": "time"}, DataError, "'time' is not finite, or"),
        (bundle, saved("text", rating="x"), {"rating": "rating"}, DataError, "cannot read the int"),
        (bundle, saved("number", item=7), {}, DataError, "'item' holds BIGINT, but the model's"),
        (bundle, saved("half", user=0.5), {}, DataError, "cannot read the interactions"),
        (bundle, saved("date", user=pd.Timestamp(0)), {}, DataError, "'user' holds TIMESTAMP"),
        (bundle, histories, {"k": 0}, ConfigError, "k=0 is too low; give at least 1"),
        (bundle, histories, {"k": 101}, ConfigError, "k=101 exceeds the 100 items"),
        (bundle, histories, {"workers": -1}, ConfigError, "workers=-1 is too low; give at least 0"),
        (bundle, histories, {"batch_users": 0}, ConfigError, "batch_users=0 is too low"),
        (bundle, histories, {"on_unknown": "no"}, ConfigError, "on_unknown='no' must be one of"),
        (bundle, histories, {"on_damaged": "no"}, ConfigError, "on_damaged='no' must be one of"),
        (bundle, histories, {"memory": "much"}, ConfigError, "memory='much' is no amount"),
    ]
    for number, (model, files, options, error, wanted) in enumerate(cases):
        out = tmp_path / f"out-{number}"
        with pytest.raises(error, match=wanted):
            rank_in_bulk(model, files, out, **{**OPTIONS, **options})
        assert not [*out.glob("part-*")]


def test_dates_set_the_order(bundle: Path, table: pd.DataFrame, tmp_path: Path) -> None:
    model = ColdStartRecommender.load(bundle)
    table = table.assign(time=pd.to_datetime(table["time"], unit="s").dt.floor("D"))
    wanted = model.recommend_table(table, 5, time="time").groupby("user", sort=True)["item"]
    for name, times in (("stamp", table["time"]), ("date", table["time"].dt.date)):
        file = tmp_path / f"{name}.parquet"
        table.assign(time=times).to_parquet(file)
        options: dict[str, Any] = {**OPTIONS, "part_users": 1000, "time": "time"}
        rank_in_bulk(bundle, file, tmp_path / name, **options)
        found = pq.read_table(tmp_path / name / "part-00000.parquet").to_pandas()
        assert found["items"].map(list).tolist() == wanted.agg(list).tolist()


def full_after(n: int, fsync: Callable[[int], None]) -> Callable[[int], None]:
    """Return what flushes files until `n` parts are there, and then finds no space."""
    flushed: list[str] = []

    def flush(handle: int) -> None:
        name = os.readlink(f"/proc/self/fd/{handle}")
        if ".partial-part-" in name:
            flushed.append(name)
            if len(flushed) > n:
                raise OSError(errno.ENOSPC, "No space left on device")
        fsync(handle)

    return flush


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_a_full_disk_stops_the_job_and_a_rerun_ends_it(
    bundle: Path, histories: Path, ranked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", full_after(2, os.fsync))
    with pytest.raises(OutputError, match=r"cannot write .*No space left on device; free space"):
        rank_in_bulk(bundle, histories, tmp_path, **OPTIONS)
    monkeypatch.undo()
    assert [path.name for path in sorted(tmp_path.glob("[!m]*.parquet"))] == [
        "part-00000.parquet",
        "part-00001.parquet",
    ]
    assert rank_in_bulk(bundle, histories, tmp_path, **OPTIONS).parts_now == 4
    assert content(tmp_path) == content(ranked)


def test_a_disk_that_is_full_of_histories(
    bundle: Path, histories: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full:
        def execute(self, query: str) -> None:
            Path(query.split("TO '")[1].split("'")[0]).write_bytes(b"some")
            raise duckdb.IOException("IO Error: Could not write file: No space left on device")

    run = Events.run

    def running(events: Events, query: str) -> list[tuple[Any, ...]]:
        if query.startswith("COPY"):
            events.database = Full()  # type: ignore[assignment]
        return run(events, query)

    monkeypatch.setattr(Events, "run", running)
    with pytest.raises(OutputError, match="No space left on device; free space"):
        rank_in_bulk(bundle, histories, tmp_path, **OPTIONS)
    assert not [*(tmp_path / ".work").glob("*.parquet")]
    monkeypatch.undo()
    assert rank_in_bulk(bundle, histories, tmp_path, **OPTIONS).parts_now == 6


def test_want_of_memory_stops_the_job_and_a_rerun_ends_it(
    bundle: Path, histories: Path, ranked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rank = PartRanker._rank

    def greedy(ranker: PartRanker, part: int) -> bytes:
        if part == 2:
            torch.empty(2**60)
        return rank(ranker, part)

    monkeypatch.setattr(PartRanker, "_rank", greedy)
    with pytest.raises(OutOfMemoryError, match="ranking 16 users at once needs more memory"):
        rank_in_bulk(bundle, histories, tmp_path, **OPTIONS)
    monkeypatch.undo()
    rank_in_bulk(bundle, histories, tmp_path, **OPTIONS)
    assert content(tmp_path) == content(ranked)
    with pytest.raises(OutOfMemoryError, match="raise memory="):
        rank_in_bulk(bundle, histories, tmp_path / "x", **OPTIONS, memory="1KB")


def test_all_parts_are_of_one_model(bundle: Path, histories: Path, tmp_path: Path) -> None:
    live = tmp_path / "live.gm"
    shutil.copy(bundle, live)

    def replace(part: PartRanked) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rank_in_bulk(live, histories, tmp_path / "out", **OPTIONS, on_part=replace)
    graph = ColdStartRecommender.load(bundle).train_graph
    ColdStartRecommender(channels=8, epochs=0, seed=1).fit(graph).save(live)
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    from graphmeta.bulk.part_ranker import PartTask

    task = PartTask(
        live, manifest["settings"]["bundle"], tmp_path / "out/.work/histories.parquet", 5, 16
    )
    with pytest.raises(DataError, match="no longer the model that the ranking was begun with"):
        PartRanker(task).rank(1)
    task.histories.write_bytes(b"")
    shutil.copy(bundle, live)
    with pytest.raises(DataError, match=r"cannot read the gathered .*; remove the folder"):
        PartRanker(task).rank(1)


def test_a_missing_extra_is_named(
    bundle: Path, histories: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        MissingExtraError, match=r'"graphmeta\[scale\]", or rank in this .*workers=0'
    ):
        rank_in_bulk(bundle, histories, tmp_path)
