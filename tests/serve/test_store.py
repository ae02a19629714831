"""Events, states and keys, on every kind of database that is served."""

import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from graphmeta.errors import ConfigError, OutputError
from graphmeta.serve.database import open_database
from graphmeta.serve.store import Event, Store, TracesLeftError


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    store = Store(database)
    yield store
    store.close()


def event(item: str, time: float = 1.0, **options: object) -> Event:
    return Event(item, options.get("kind", "interaction"), options.get("rating"), time)  # type: ignore[arg-type]


def test_events_come_back_in_the_order_of_their_times(store: Store) -> None:
    assert store.read("ann").revision == 0
    store.record("ann", [event("b", 2.0, rating=4.5), event("a", 1.0), event("c", 2.0)])
    store.record("bob", [event("z")])
    kept = store.read("ann")
    assert kept.events == (event("a", 1.0), event("b", 2.0, rating=4.5), event("c", 2.0))
    assert (kept.revision > 0, kept.state) == (True, None)


def test_of_an_item_the_latest_event_counts(store: Store) -> None:
    store.record("ann", [event("a", kind="unknown"), event("a", 2.0)])
    assert store.read("ann").events == (event("a", 2.0),)
    store.record("ann", [event("a", 3.0, kind="dismissed")])
    assert store.read("ann").events == (event("a", 3.0, kind="dismissed"),)
    store.record("ann", [event("a", 2.0), event("b", 2.0)])  # Sent again, and late.
    assert store.read("ann").events == (event("b", 2.0), event("a", 3.0, kind="dismissed"))
    store.record("ann", [event("a", 3.0)])
    assert store.read("ann").events == (event("b", 2.0), event("a", 3.0))
    store.record("ann", [event("b", 9.0), event("b", 8.0, rating=1.0)])
    assert store.read("ann").events == (event("a", 3.0), event("b", 9.0))


def test_any_text_is_an_id(store: Store, database: str) -> None:
    texts = ["'; DROP TABLE users; --", "🎬", "فيلم", "a/b?c=d&e", "%00", "x" * 256, '"', "\\"]
    for user in texts:
        store.record(user, [event(item) for item in texts])
    store.close()
    again = Store(database)
    for user in texts:
        assert {e.item for e in again.read(user).events} == set(texts)
    again.close()


def test_a_state_is_kept_for_the_events_that_it_is_of(store: Store) -> None:
    store.record("ann", [event("a")])
    first = store.read("ann").revision
    store.keep_state("ann", first, b"state", "model")
    kept = store.read("ann")
    assert (kept.state, kept.state_model) == (b"state", "model")
    store.record("ann", [event("b")])
    assert store.read("ann").state is None
    store.keep_state("ann", first, b"late", "model")
    assert store.read("ann").state is None
    store.keep_state("ann", first + 1, b"new", "model")
    assert store.forget_event("ann", "b")
    assert not store.forget_event("ann", "b")
    kept = store.read("ann")
    assert (kept.events, kept.state, kept.revision) == ((event("a"),), None, first + 2)


def test_a_forgotten_user_does_not_come_back_by_a_late_state(store: Store) -> None:
    store.record("ann", [event("a")])
    revision = store.read("ann").revision
    assert store.forget("ann")
    assert not store.forget("ann")
    store.keep_state("ann", revision, b"state", "model")
    assert store.read("ann").revision == 0
    store.record("ann", [event("b")])
    store.keep_state("ann", revision, b"state", "model")
    assert store.read("ann").state is None


def test_a_deletion_that_readers_hold_up_says_so_and_lets_writers_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("graphmeta.serve.store.CHECKPOINTS", 8)
    store = Store(f"sqlite:///{tmp_path / 'service.db'}")
    store.record("ann-secret-name", [event("a")])
    reader = sqlite3.connect(tmp_path / "service.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM users").fetchall()
    raised: list[Exception] = []

    def forget() -> None:
        try:
            store.forget("ann-secret-name")
        except TracesLeftError as error:
            raised.append(error)

    start = time.monotonic()
    deletion = threading.Thread(target=forget)
    deletion.start()
    while deletion.is_alive():
        store.record("bob", [event("b")])
    deletion.join()
    assert time.monotonic() - start < 5
    assert "traces remain" in str(raised[0])
    assert store.read("ann-secret-name").revision == 0
    assert found(tmp_path, b"ann-secret-name")
    reader.execute("COMMIT")
    reader.close()
    assert not store.forget("ann-secret-name")
    assert not found(tmp_path, b"ann-secret-name")
    with store._engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 5000
    store.close()


def test_nothing_of_a_forgotten_user_is_left_in_the_files(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'service.db'}")
    secret, item, state = "ann-secret-name", "item-secret-name", b"state-secret-bytes" * 400
    for other in range(50):
        store.record(f"user{other}", [event(f"item{n}") for n in range(20)])
    store.record(secret, [event(item), event("undone-secret-name")])
    store.keep_state(secret, store.read(secret).revision, state, "model")
    assert found(tmp_path, b"ann-secret-name")
    assert found(tmp_path, b"state-secret-bytes")
    # A connection that read before must not keep the log alive.
    assert store.read(secret).state == state
    store.forget_event(secret, "undone-secret-name")
    assert not found(tmp_path, b"undone-secret-name")
    store.forget(secret)
    for text in (b"ann-secret-name", b"item-secret-name", b"state-secret-bytes"):
        assert not found(tmp_path, text)
    assert all(len(store.read(f"user{other}").events) == 20 for other in range(50))
    store.close()


def found(folder: Path, text: bytes) -> list[str]:
    return [path.name for path in folder.iterdir() if text in path.read_bytes()]


def test_two_writers_for_one_user_lose_nothing(store: Store) -> None:
    store.record("ann", [event("both")])
    first = store.read("ann").revision

    def write(name: str) -> None:
        for number in range(25):
            store.record("ann", [event(f"{name}{number}"), event("both")])

    writers = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    kept = store.read("ann")
    assert {e.item for e in kept.events} == {f"{n}{i}" for n in "abcd" for i in range(25)} | {
        "both"
    }
    assert kept.revision == first + 100


def test_keys_are_kept_as_hashes(store: Store, tmp_path: Path) -> None:
    assert store.role_of(None) == "admin"  # Nothing is locked yet.
    key = store.add_key("shop", "write")
    other = store.add_key("report", "read")
    assert store.role_of(key) == "write"
    assert store.role_of(other) == "read"
    assert store.role_of(None) is None
    assert store.role_of(f"{key}x") is None
    assert store.key_names() == [("report", "read"), ("shop", "write")]
    assert not found(tmp_path, key.encode())
    with pytest.raises(ConfigError, match="there is a key named 'shop'; remove it first"):
        store.add_key("shop", "read")
    store.remove_key("shop")
    assert store.role_of(key) is None
    with pytest.raises(ConfigError, match="there is no key named 'shop'"):
        store.remove_key("shop")


def test_where_a_key_is_needed_nobody_comes_in_without(database: str) -> None:
    store = Store(database, needs_key=True)
    assert store.role_of(None) is None
    key = store.add_key("shop", "write")
    assert store.role_of(key) == "write"
    store.remove_key("shop")
    assert store.role_of(None) is None
    assert store.role_of(key) is None
    store.close()


def test_the_tables_are_those_of_the_migrations(database: str) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from graphmeta.serve.tables import metadata

    engine = open_database(database)
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"version_table": "graphmeta_version"}
        )
        assert context.get_current_revision() == "0001"
        assert compare_metadata(context, metadata) == []
    engine.dispose()
    open_database(database).dispose()  # A second start finds all as it should be.


def test_a_database_of_a_later_release_is_left_alone(database: str) -> None:
    engine = open_database(database)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE graphmeta_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(OutputError, match=r"made by a later release .*; upgrade graphmeta"):
        open_database(database)


def test_databases_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the database URL cannot be read"):
        open_database("no url")
    with pytest.raises(ConfigError, match="'mysql' is not served; use sqlite or postgresql"):
        open_database("mysql://localhost/x")
    with pytest.raises(OutputError, match=r"cannot use the database .*unable to open"):
        open_database(f"sqlite:///{tmp_path / 'no' / 'folder.db'}")
    with pytest.raises(OutputError, match=r"cannot use the database .*check the URL"):
        open_database("postgresql+psycopg://nobody:secret@127.0.0.1:1/x")
    (tmp_path / "text.db").write_text("no database " * 100)
    with pytest.raises(OutputError, match="file is not a database"):
        open_database(f"sqlite:///{tmp_path / 'text.db'}")


def test_a_password_is_not_in_the_message() -> None:
    with pytest.raises(OutputError) as caught:
        open_database("postgresql+psycopg://nobody:secret@127.0.0.1:1/x")
    assert "secret" not in str(caught.value)
