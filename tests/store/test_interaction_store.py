import errno
import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graphmeta.data import from_frame, planted_interactions
from graphmeta.errors import (
    ConfigError,
    DataError,
    DataNotFoundError,
    OutOfMemoryError,
    OutputError,
    UnknownIdError,
)
from graphmeta.store import InteractionStore, array_file, compact, interaction_store
from graphmeta.store.store_manifest import MANIFEST

RATED = {"rating": "rating", "time": "time"}


def interactions(seed: int = 0) -> pd.DataFrame:
    return planted_interactions(60, 40, per_user=8, seed=seed)


def rows_of(store: InteractionStore) -> set[tuple[Any, ...]]:
    """Return every interaction as its ids, rating and time."""
    graph = store.to_graph()
    edges: Any = graph["user", "rates", "item"]
    user = graph["user"].id_map.to_ids(edges.edge_index[0])
    item = graph["item"].id_map.to_ids(edges.edge_index[1])
    rating = edges.rating.tolist() if "rating" in edges else [None] * len(user)
    time = edges.time.tolist() if "time" in edges else [None] * len(user)
    return set(zip(user.tolist(), item.tolist(), rating, time, strict=True))


def wanted(frame: pd.DataFrame) -> set[tuple[Any, ...]]:
    first = frame.drop_duplicates(["user", "item"])
    rows = [first[name].tolist() for name in ("user", "item", "rating", "time")]
    return set(zip(*rows, strict=True))


def in_files(folder: Path, frame: pd.DataFrame, n: int, suffix: str = "parquet") -> Path:
    folder.mkdir(exist_ok=True)
    for number, start in enumerate(range(0, len(frame), -(-len(frame) // n))):
        part = frame.iloc[start : start + -(-len(frame) // n)]
        path = folder / f"part-{number}.{suffix}"
        if suffix == "parquet":
            part.to_parquet(path)
        else:
            part.to_csv(path, index=False)
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("kind", ["folder", "files", "pattern", "csv", "query", "tables", "table"])
def test_every_source_gives_the_interactions_of_the_table(tmp_path: Path, kind: str) -> None:
    frame = interactions()
    suffix = "csv" if kind == "csv" else "parquet"
    folder = in_files(tmp_path / "in", frame, 3, suffix)
    options: dict[str, Any] = {**RATED}
    source: Any = {
        "folder": folder,
        "csv": folder,
        "files": sorted(folder.iterdir()),
        "pattern": str(folder / "*.parquet"),
        "query": None,
        "tables": (part for part in (frame[:100], frame[100:])),
        "table": frame,
    }[kind]
    if kind == "query":
        options["query"] = f"SELECT * FROM '{folder}/*.parquet';"
    store = InteractionStore.build(tmp_path / "store", source, **options)
    assert rows_of(store) == wanted(frame)
    assert (store.num_users, store.num_items) == (60, 40)
    assert store.num_edges == len(frame)
    assert [path.name for path in tmp_path.glob(".*")] == []
    store.verify()


def test_a_graph_from_the_store_is_that_of_the_table(tmp_path: Path) -> None:
    frame = interactions().sort_values(["user", "item"])
    store = InteractionStore.build(tmp_path / "store", frame, **RATED)
    found, expected = store.to_graph(), from_frame(frame, **RATED)
    users, items = (
        found[kind].id_map.to_index(expected[kind].id_map.ids) for kind in ("user", "item")
    )
    edge_index = expected["user", "rates", "item"].edge_index
    edge_index = torch.stack([users[edge_index[0]], items[edge_index[1]]])
    order = (edge_index[0] * 40 + edge_index[1]).argsort()
    assert torch.equal(found["user", "rates", "item"].edge_index, edge_index[:, order])
    rating = expected["user", "rates", "item"].rating[order]
    assert torch.equal(found["user", "rates", "item"].rating, rating)


def test_by_hand(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "user": [7, 3, 7, 3, 7],
            "item": ["b", "a", "a", "a", "c"],
            "rating": [1.0, 2.0, 3.0, 9.0, 4.0],
        }
    )
    store = InteractionStore.build(tmp_path / "s", frame, rating="rating")
    (segment,) = store.segments
    assert store.user_ids.to_ids(torch.arange(2)).tolist() == [3, 7]
    assert segment.user_pointer.tolist() == [0, 1, 4]
    assert segment.user_item.tolist() == [0, 0, 1, 2]
    assert segment.rating is not None
    assert segment.rating.tolist() == [2.0, 3.0, 1.0, 4.0]  # Of the same pair, the first.
    assert segment.item_pointer.tolist() == [0, 2, 3, 4]
    assert segment.item_user.tolist() == [0, 1, 1, 1]
    assert segment.item_slot is not None
    assert segment.item_slot.tolist() == [0, 1, 2, 3]
    assert segment.has(np.array([0, 0, 1, 1]), np.array([0, 1, 2, 0])).tolist() == [
        True, False, True, True,
    ]  # fmt: skip
    store = store.append(pd.DataFrame({"user": [3, 9], "item": ["c", "0"], "rating": [5.0, 6.0]}))
    late = store.segments[1]
    assert store.user_ids.to_index([3, 7, 9]).tolist() == [0, 1, 2]
    assert store.item_ids.to_index(["a", "b", "c", "0"]).tolist() == [0, 1, 2, 3]
    assert (late.user.tolist(), late.user_item.tolist()) == ([0, 2], [2, 3])
    assert (late.item.tolist(), late.item_user.tolist()) == ([2, 3], [0, 2])


@given(
    st.lists(
        st.lists(st.tuples(st.integers(-3, 12), st.integers(0, 9)), min_size=1, max_size=30),
        min_size=1,
        max_size=4,
    ),
    st.booleans(),
)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_days_appended_are_the_days_together(
    tmp_path: Path, days: list[list[tuple[int, int]]], are_strings: bool
) -> None:
    shutil.rmtree(tmp_path / "store", ignore_errors=True)
    frames = [pd.DataFrame(day, columns=["user", "item"]) for day in days]
    frames[0] = pd.concat([frames[0], pd.DataFrame({"user": [-9, -8], "item": [20, 21]})])
    if are_strings:
        frames = [frame.astype(str) for frame in frames]
    store = InteractionStore.build(tmp_path / "store", frames[0])
    known = store.user_ids.to_ids(torch.arange(store.num_users)).tolist()
    for frame in frames[1:]:
        store = store.append(frame)
    together = pd.concat(frames)
    pairs = {(row[0], row[1]) for row in rows_of(store)}
    assert pairs == set(together.itertuples(index=False, name=None))
    assert store.num_edges == len(pairs)
    assert store.user_ids.to_ids(torch.arange(len(known))).tolist() == known
    for segment in store.segments:
        by_user = list(
            zip(
                np.repeat(segment.user, np.diff(segment.user_pointer)),
                segment.user_item,
                strict=True,
            )
        )
        by_item = list(
            zip(
                segment.item_user,
                np.repeat(segment.item, np.diff(segment.item_pointer)),
                strict=True,
            )
        )
        assert by_user == sorted(by_user)
        assert sorted(by_item) == by_user


def test_ids_are_found_both_ways(tmp_path: Path) -> None:
    store = InteractionStore.build(tmp_path / "store", interactions())
    ids = store.user_ids.to_ids(torch.arange(60))
    assert store.user_ids.to_index(ids).tolist() == list(range(60))
    assert store.user_ids.find(["u3", "nobody", 3]).tolist()[1:] == [-1, -1]
    with pytest.raises(UnknownIdError, match=r"1 of 2 ids are unknown \(first: 'who'\).*strings"):
        store.user_ids.to_index(["u1", "who"])
    numbered = pd.DataFrame({"user": [5, 2**40], "item": [1.0, 2.0]})
    store = InteractionStore.build(tmp_path / "numbers", numbered)
    assert store.user_ids.find([2**40, 5, 6, "5"]).tolist() == [1, 0, -1, -1]
    assert store.item_ids.to_ids(torch.tensor([[1], [0]])).tolist() == [[2], [1]]
    assert repr(store.item_ids) == "IdColumn(2 ids)"


def test_the_same_source_gives_the_same_bytes(tmp_path: Path) -> None:
    folder = in_files(tmp_path / "in", interactions(), 3)
    for name in ("one", "two"):
        InteractionStore.build(tmp_path / name, folder, **RATED).append(interactions(1))
    assert content(tmp_path / "one") == content(tmp_path / "two")


def test_dates_and_a_least_rating(tmp_path: Path) -> None:
    frame = interactions()
    frame["time"] = pd.to_datetime(frame["time"], unit="s")
    store = InteractionStore.build(tmp_path / "store", frame, **RATED, min_rating=4)
    kept = interactions().query("rating >= 4")
    assert rows_of(store) == wanted(kept)
    with pytest.raises(DataError, match="no interaction reaches min_rating=6; lower it"):
        InteractionStore.build(tmp_path / "none", frame, **RATED, min_rating=6)


@pytest.mark.parametrize("end", ["", ";", " -- all of it"])
def test_a_query_runs_once(tmp_path: Path, end: str) -> None:
    query = (
        "SELECT i // 10 AS user, i % 1000 AS item, 'x' AS rest FROM range(5000) r(i) "
        f"WHERE random() < 0.1{end}"
    )
    store = InteractionStore.build(tmp_path / "store", query=query)
    graph: Any = store.to_graph()["user", "rates", "item"]
    # Users and items come from the rows that are kept, so each has one.
    assert torch.bincount(graph.edge_index[0], minlength=store.num_users).min() > 0
    assert torch.bincount(graph.edge_index[1], minlength=store.num_items).min() > 0
    after = store.append(query=query)
    assert after.num_edges > store.num_edges
    assert {path.name for path in tmp_path.rglob("*")}.isdisjoint({"query.parquet", "spilled"})
    with pytest.raises(DataError, match="no column 'rating' among user, item, rest"):
        InteractionStore.build(tmp_path / "other", query=query, rating="rating")


@pytest.mark.parametrize("rating", [None, np.nan, -np.inf])
def test_a_least_rating_hides_no_missing_rating(tmp_path: Path, rating: float | None) -> None:
    path = tmp_path / "in.parquet"
    table = pa.table({"user": [1, 2, 3], "item": [1, 2, 3], "rating": [5.0, 1.0, rating]})
    pq.write_table(table, path)
    with pytest.raises(DataError, match="column 'rating' is not finite in 1 of 2 rows"):
        InteractionStore.build(tmp_path / "store", path, rating="rating", min_rating=2)


def test_every_csv_file_needs_the_columns(tmp_path: Path) -> None:
    folder = in_files(tmp_path / "in", interactions(), 3, "csv")
    renamed = folder / "part-1.csv"
    pd.read_csv(renamed).rename(columns={"rating": "stars"}).to_csv(renamed, index=False)
    with pytest.raises(DataError, match=r"part-1.csv: no column 'rating' among .*stars"):
        InteractionStore.build(tmp_path / "store", folder, **RATED, min_rating=1)
    store = InteractionStore.build(tmp_path / "store", folder)
    assert store.num_edges == 480


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_names_that_look_like_patterns(tmp_path: Path, suffix: str) -> None:
    (tmp_path / "a[b]").mkdir()
    folder = in_files(tmp_path / "a[b]" / "in", interactions(), 2, suffix)
    (folder / f"part-1.{suffix}").rename(folder / f"part-[0].{suffix}")
    store = InteractionStore.build(tmp_path / "a[b]" / "store", folder, **RATED)
    assert rows_of(store) == wanted(interactions())
    one = InteractionStore.build(tmp_path / "one", folder / f"part-[0].{suffix}", **RATED)
    assert rows_of(one) == wanted(interactions()[240:])
    tables = InteractionStore.build(tmp_path / "a[b]" / "tables", interactions(), **RATED)
    assert rows_of(tables) == rows_of(store)


def test_numbers_are_found_among_others(tmp_path: Path) -> None:
    frame = pd.DataFrame({"user": [0, 0, 5, 5], "item": [0, 1, 0, 1]})
    ids = InteractionStore.build(tmp_path / "store", frame).user_ids
    assert ids.find(pd.Series([5, None], dtype="Int64")).tolist() == [1, -1]
    assert ids.find([np.int64(5), "x", 0, 2**70]).tolist() == [1, -1, 0, -1]
    assert ids.find(np.array([5, 2**64 - 1], dtype=np.uint64)).tolist() == [1, -1]
    for row in (-1, 2):
        with pytest.raises(DataError, match=f"row {row} is outside the 2 rows that have ids"):
            ids.to_ids(torch.tensor([0, row]))


def test_a_store_opens_in_another_process_by_its_path(tmp_path: Path) -> None:
    store = InteractionStore.build(tmp_path / "store", interactions(), **RATED)
    sent = pickle.dumps(store)
    assert len(sent) < 500
    assert rows_of(pickle.loads(sent)) == rows_of(store)


def test_a_store_opens_in_another_process_as_it_was(tmp_path: Path) -> None:
    store = InteractionStore.build(tmp_path / "store", interactions(), **RATED)
    sent = pickle.dumps(store)
    after = store.append(interactions(1))
    found = pickle.loads(sent)
    assert (rows_of(found), found.manifest) == (rows_of(store), store.manifest)
    after.compact()
    with pytest.raises(DataError, match="was merged or built again since it was opened; open it"):
        pickle.loads(sent)
    shutil.rmtree(tmp_path / "store")
    InteractionStore.build(tmp_path / "store", interactions(3), **RATED)
    with pytest.raises(DataError, match="was merged or built again since it was opened; open it"):
        pickle.loads(sent)


def test_what_is_open_stays_as_it_was(tmp_path: Path) -> None:
    before = InteractionStore.build(tmp_path / "store", interactions(), **RATED)
    rows = rows_of(before)
    after = before.append(interactions(1))
    assert rows_of(before) == rows
    assert rows_of(after) == rows_of(InteractionStore.open(tmp_path / "store")) > rows
    with pytest.raises(OutputError, match="was written to meanwhile; open it and try again"):
        before.append(interactions(2))
    assert rows_of(InteractionStore.open(tmp_path / "store")) == rows_of(after)


def test_one_writes_at_a_time(tmp_path: Path) -> None:
    store = InteractionStore.build(tmp_path / "store", interactions(), **RATED)

    def meanwhile() -> Iterator[pd.DataFrame]:
        with pytest.raises(OutputError, match=r"another process writes to .*store; wait for it"):
            store.append(interactions(2))
        with pytest.raises(OutputError, match=r"another process writes to .*store; wait for it"):
            store.append(interactions(2)[:9]).compact()
        yield interactions(1)

    after = store.append(meanwhile())
    assert rows_of(after) == rows_of(store) | (wanted(interactions(1)) & rows_of(after))

    def while_built() -> Iterator[pd.DataFrame]:
        with pytest.raises(OutputError, match=r"another process writes .*other; wait for it"):
            InteractionStore.build(tmp_path / "other", interactions(), **RATED)
        yield interactions()

    other = InteractionStore.build(tmp_path / "other", while_built(), **RATED)
    assert rows_of(other) == rows_of(store)


def test_damaged_files_are_named_or_skipped(tmp_path: Path) -> None:
    folder = in_files(tmp_path / "in", interactions(), 10)
    cut = folder / "part-4.parquet"
    cut.write_bytes(cut.read_bytes()[:-20])
    (folder / "part-7.parquet").write_bytes(b"")
    with pytest.raises(DataError, match=r"part-4.parquet is damaged .* 1 more of 10 .*on_damaged"):
        InteractionStore.build(tmp_path / "store", folder, **RATED)
    assert not list(tmp_path.glob("*store*"))
    store = InteractionStore.build(tmp_path / "store", folder, **RATED, on_damaged="skip")
    assert [Path(name).name for name in store.skipped] == ["part-4.parquet", "part-7.parquet"]
    assert store.num_edges == 480 * 8 // 10
    inside = bytearray((folder / "part-2.parquet").read_bytes())
    inside[4:400] = bytes(396)
    (folder / "part-2.parquet").write_bytes(bytes(inside))
    rest = folder / "part-[0-35689].parquet"  # Whole as far as the footers tell.
    with pytest.raises(DataError, match=r"part-2.parquet is damaged .*on_damaged"):
        InteractionStore.build(tmp_path / "other", str(rest), **RATED)
    assert not list(tmp_path.glob("*other*"))
    store = InteractionStore.build(tmp_path / "other", folder, **RATED, on_damaged="skip")
    assert sorted(Path(name).name[5:6] for name in store.skipped) == ["2", "4", "7"]
    assert store.num_edges == 480 * 7 // 10


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = InteractionStore.build(tmp_path / "store", interactions(), **RATED)
    before, write = content(tmp_path), array_file.ArrayWriter.write

    def full(self: Any, values: Any) -> None:
        if self._file.name.endswith("item_pointer.bin"):
            raise OSError(errno.ENOSPC, "No space left on device")
        write(self, values)

    with monkeypatch.context() as patched:
        patched.setattr(array_file.ArrayWriter, "write", full)
        with pytest.raises(OutputError, match="No space left on device; free space"):
            store.append(interactions(1))
        with pytest.raises(OutputError, match="No space left on device; free space"):
            InteractionStore.build(tmp_path / "new", interactions(1))
    assert content(tmp_path) == before
    store.append(interactions(1))
    again = InteractionStore.build(tmp_path / "again", interactions(), **RATED)
    again.append(interactions(1))
    assert content(tmp_path / "store") == content(tmp_path / "again")


def test_a_store_that_is_merged_while_it_opens_opens_merged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "store"
    store = InteractionStore.build(path, interactions(), **RATED).append(interactions(1))
    read, rows = interaction_store.read_manifest, rows_of(store)
    reads: list[Path] = []

    def then_merged(path: Path) -> Any:
        found = read(path)
        reads.append(path)
        if len(reads) == 1:
            monkeypatch.setattr(interaction_store, "read_manifest", read)
            store.compact()
        return found

    monkeypatch.setattr(interaction_store, "read_manifest", then_merged)
    merged = InteractionStore.open(path)
    assert (len(merged.segments), rows_of(merged)) == (1, rows)


def test_segments_are_merged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = InteractionStore.build(tmp_path / "store", interactions(), **RATED)
    assert store.compact() is store
    for seed in (1, 2):
        store = store.append(interactions(seed).assign(user=lambda f, s=seed: f["user"] + "x" * s))
    rows, users = rows_of(store), store.user_ids.to_ids(torch.arange(store.num_users)).tolist()
    size = sum(len(one) for one in content(tmp_path / "store").values())
    monkeypatch.setattr(compact, "ROWS_AT_ONCE", 100)
    merged = store.compact()
    assert len(merged.segments) == 1
    assert rows_of(merged) == rows == rows_of(store)  # What was open shows what it showed.
    assert merged.user_ids.to_ids(torch.arange(merged.num_users)).tolist() == users
    merged.verify()
    (segment,) = merged.segments
    user = np.repeat(segment.user, np.diff(segment.user_pointer))
    pairs = list(zip(user, segment.user_item, strict=True))
    assert pairs == sorted(pairs)
    assert sum(len(one) for one in content(tmp_path / "store").values()) < size
    with pytest.raises(OutputError, match="was written to meanwhile"):
        store.compact()
    more = merged.append(interactions(3))
    assert rows_of(more) == rows_of(more.compact()) > rows


def test_what_a_kill_leaves_is_cleared(tmp_path: Path) -> None:
    store = InteractionStore.build(tmp_path / "store", interactions(), **RATED)
    (tmp_path / "store" / "0001").mkdir()  # Renamed, but the manifest does not tell of it.
    (tmp_path / "store" / "0001" / "user.bin").write_bytes(b"half")
    (tmp_path / "store" / ".partial-0001").mkdir()
    (tmp_path / "store" / ".partial-0001" / "item.bin").write_bytes(b"half")
    store = store.append(interactions(1))
    clean = InteractionStore.build(tmp_path / "clean", interactions(), **RATED)
    clean.append(interactions(1))
    assert content(tmp_path / "store") == content(tmp_path / "clean")


def test_files_that_are_missing_cut_short_or_changed_are_told(tmp_path: Path) -> None:
    store = InteractionStore.build(tmp_path / "store", interactions(), **RATED)
    array = tmp_path / "store" / "0000" / "item_user.bin"
    kept = array.read_bytes()
    array.write_bytes(bytes(len(kept)))
    with pytest.raises(DataError, match=r"item_user.bin has changed since it was written"):
        store.verify()
    array.write_bytes(kept[:-1])
    with pytest.raises(DataError, match=f"should hold {len(kept)} bytes, but holds"):
        InteractionStore.open(tmp_path / "store")
    array.unlink()
    with pytest.raises(DataError, match="but is missing"):
        InteractionStore.open(tmp_path / "store")
    array.write_bytes(kept)
    ids = tmp_path / "store" / "0000" / "user_id.arrow"
    ids.write_bytes(ids.read_bytes()[:-30])
    with pytest.raises(DataError, match=r"user_id.arrow is missing or damaged"):
        InteractionStore.open(tmp_path / "store")
    (tmp_path / "store" / MANIFEST).write_text("{")
    with pytest.raises(DataError, match="is damaged, or of another version"):
        InteractionStore.open(tmp_path / "store")
    with pytest.raises(DataNotFoundError, match="no store at"):
        InteractionStore.open(tmp_path)


def bad(**changed: Any) -> pd.DataFrame:
    return interactions().assign(**changed)


@pytest.mark.parametrize(
    ("frame", "options", "match"),
    [
        (bad(user=["u1"] * 479 + [None]), {}, "1 of 480 ids in column 'user' are missing"),
        (bad(user=[1.0] * 479 + [None]), {}, "1 of 480 ids in column 'user' are missing"),
        (bad(item=0.5), {}, "column 'item' holds item ids that are fractional, or floats of 2"),
        (bad(item=2.0**53), {}, "column 'item' holds item ids that are fractional, or floats of 2"),
        (bad(item=True), {}, "column 'item' holds BOOLEAN; item ids must be whole numbers"),
        (bad(item=1), {}, "one user or one item only"),
        (bad(time=-1), {"time": "time"}, "column 'time' is not finite, or negative, in 480"),
        (bad(rating=np.inf), {"rating": "rating"}, "column 'rating' is not finite in 480 of 480"),
        (bad(rating="good"), {"rating": "rating"}, "cannot read the interactions: Conversion"),
        (bad(), {"rating": "ratings"}, "no column 'ratings' among"),
        (bad()[:0], {}, "no interaction was given"),
    ],
)
def test_bad_interactions(
    tmp_path: Path, frame: pd.DataFrame, options: dict[str, Any], match: str
) -> None:
    with pytest.raises(DataError, match=match):
        InteractionStore.build(tmp_path / "store", frame, **options)
    assert not list(tmp_path.iterdir())


def test_bad_options(tmp_path: Path) -> None:
    frame = interactions()
    with pytest.raises(ConfigError, match="give either a source or a query="):
        InteractionStore.build(tmp_path / "store")
    with pytest.raises(ConfigError, match="min_rating needs ratings"):
        InteractionStore.build(tmp_path / "store", frame, min_rating=1)
    with pytest.raises(ConfigError, match="memory='much' is no amount"):
        InteractionStore.build(tmp_path / "store", frame, memory="much")
    with pytest.raises(ConfigError, match="on_damaged='hide' must be"):
        InteractionStore.build(tmp_path / "store", frame, on_damaged="hide")  # type: ignore[arg-type]
    with pytest.raises(OutOfMemoryError, match="raise memory="):
        InteractionStore.build(tmp_path / "store", frame, memory="100KB")
    with pytest.raises(DataNotFoundError, match="no Parquet or CSV file at"):
        InteractionStore.build(tmp_path / "store", tmp_path / "nothing")
    with pytest.raises(DataNotFoundError, match="no file was named"):
        InteractionStore.build(tmp_path / "store", [])
    with pytest.raises(DataError, match="no table of interactions"):
        InteractionStore.build(tmp_path / "store", iter([]))
    with pytest.raises(DataError, match="cannot read the interactions: "):
        InteractionStore.build(tmp_path / "store", query="SELECT FROM")
    with pytest.raises(DataError, match="table 1 has columns of another type"):
        InteractionStore.build(tmp_path / "store", iter([frame, bad(user=[{}] * 480)]))
    with pytest.raises(DataError, match="the source is 3; give files, or tables"):
        InteractionStore.build(tmp_path / "store", 3)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="table 0 is a int; give a DataFrame"):
        InteractionStore.build(tmp_path / "store", [3])  # type: ignore[list-item]
    (tmp_path / "notes.txt").write_text("user,item\n")
    with pytest.raises(DataError, match=r"notes.txt is neither Parquet nor CSV; name it"):
        InteractionStore.build(tmp_path / "store", tmp_path / "notes.txt")
    mixed = in_files(tmp_path / "in", frame, 2)
    frame.to_csv(mixed / "part-2.csv")
    with pytest.raises(DataError, match=r"part-2.csv is no Parquet file as .*part-0.parquet is"):
        InteractionStore.build(tmp_path / "store", mixed)
    store = InteractionStore.build(tmp_path / "store", frame)
    with pytest.raises(OutputError, match="exists; open it, append to it"):
        InteractionStore.build(tmp_path / "store", frame)
    with pytest.raises(
        DataError, match="column 'user' holds BIGINT, but the store has ids of large_string"
    ):
        store.append(pd.DataFrame({"user": [1, 2], "item": [3, 4]}))
