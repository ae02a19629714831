"""Users' events and states in a database; what is acknowledged is kept."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from graphmeta.errors import ConfigError
from graphmeta.serve.database import PATIENCE, READS, open_database
from graphmeta.serve.tables import events, keys, users

Kind = Literal["interaction", "unknown", "dismissed"]
Role = Literal["read", "write", "admin"]
# How often a deletion tries to empty the log, milliseconds that it then waits for readers to leave,
# which writers wait too, and seconds between, in which they get in.
CHECKPOINTS, WAIT, BETWEEN = 40, 20, 0.05


class TracesLeftError(Exception):
    """What was deleted is still in SQLite's write-ahead log, since somebody reads."""


@dataclass(frozen=True)
class Event:
    """What a user did about an item.

    Args:
        item: The item's id, as text.
        kind: "interaction", "unknown" (was asked about it and does not know it) or "dismissed"
            (does not want to see it).
        rating: The user's rating, if any.
        time: Seconds since 1970.
    """

    item: str
    kind: Kind
    rating: float | None
    time: float


@dataclass(frozen=True)
class KeptUser:
    """All that is kept of a user.

    Args:
        user: The user's id.
        revision: Another number after every change of the events; 0 where nothing is kept.
        events: The events, oldest first; of each item the latest.
        state: The bytes of a `UserState`, if there is one for these events.
        state_model: The fingerprint of the model that it belongs to.
    """

    user: str
    revision: int
    events: tuple[Event, ...]
    state: bytes | None = None
    state_model: str | None = None


class Store:
    """Keeps events, states and keys.

    Args:
        url: An SQLAlchemy URL, see `open_database`.
        needs_key: Nobody may do anything while there is no key; otherwise everybody may.

    Raises:
        ConfigError: The URL cannot be used.
        MissingExtraError: The package that talks to the database is not installed.
        OutputError: The database cannot be used.
    """

    def __init__(self, url: str, *, needs_key: bool = False) -> None:
        self._engine = open_database(url)
        self._needs_key = needs_key
        self._is_sqlite = self._engine.dialect.name == "sqlite"

    def close(self) -> None:
        """Give back all connections."""
        self._engine.dispose()

    def record(self, user: str, new: Sequence[Event]) -> None:
        """Keep events; they are on the disk when this returns.

        Of an item the event with the latest time counts, whenever it arrives; of equal times the
        one that arrives last.
        """
        rows = [
            {
                "user_id": user,
                "item_id": event.item,
                "kind": event.kind,
                "rating": event.rating,
                "time": event.time,
            }
            for event in latest(new)
        ]
        with self._engine.begin() as connection:
            # The user's row comes first: it is what two writers for one user queue up for.
            insert = self._insert(users).values(user_id=user, revision=_first_revision())
            grown = {"revision": users.c.revision + 1}
            connection.execute(insert.on_conflict_do_update(index_elements=["user_id"], set_=grown))
            insert = self._insert(events)
            replaced = {name: insert.excluded[name] for name in ("kind", "rating", "time")}
            statement = insert.on_conflict_do_update(
                index_elements=["user_id", "item_id"],
                set_=replaced,
                where=insert.excluded.time >= events.c.time,
            )
            connection.execute(statement, rows)

    def read(self, user: str) -> KeptUser:
        """Return what is kept of a user; no events and revision 0 where nothing is."""
        of_user = sa.select(users).where(users.c.user_id == user)
        of_events = (
            sa.select(events)
            .where(events.c.user_id == user)
            .order_by(events.c.time, events.c.event_id)
        )
        with self._reading() as connection:
            row = connection.execute(of_user).one_or_none()
            if row is None:
                return KeptUser(user, 0, ())
            found = tuple(
                Event(event.item_id, cast(Kind, event.kind), event.rating, event.time)
                for event in connection.execute(of_events)
            )
        if row.state_revision != row.revision:
            return KeptUser(user, row.revision, found)
        return KeptUser(user, row.revision, found, row.state, row.state_model)

    def keep_state(self, user: str, revision: int, state: bytes, model: str) -> None:
        """Keep a user's state, unless the events have changed since or the user is gone."""
        with self._engine.begin() as connection:
            connection.execute(
                sa.update(users)
                .where(users.c.user_id == user, users.c.revision == revision)
                .values(state=state, state_model=model, state_revision=revision)
            )

    def forget_event(self, user: str, item: str) -> bool:
        """Delete one event; return whether there was one.

        Raises:
            TracesLeftError: It is deleted, and still in the log; as in `forget`.
        """
        with self._engine.begin() as connection:
            gone = connection.execute(
                sa.delete(events).where(events.c.user_id == user, events.c.item_id == item)
            ).rowcount
            if gone:
                connection.execute(
                    sa.update(users)
                    .where(users.c.user_id == user)
                    .values(
                        revision=users.c.revision + 1,
                        state=None,
                        state_model=None,
                        state_revision=None,
                    )
                )
        self._scrub()
        return bool(gone)

    def forget(self, user: str) -> bool:
        """Delete a user with all events and the state; return whether there was one.

        In SQLite the bytes are overwritten and the write-ahead log is emptied before this returns.
        PostgreSQL keeps them in its own log until that is recycled, as every transaction there.

        Raises:
            TracesLeftError: The user is deleted, but somebody reads the database for so long that
                the log could not be emptied; a further call tries again.
        """
        with self._engine.begin() as connection:
            connection.execute(sa.delete(events).where(events.c.user_id == user))
            gone = connection.execute(sa.delete(users).where(users.c.user_id == user)).rowcount
        self._scrub()
        return bool(gone)

    def check(self) -> None:
        """Read from the database; raises where that fails."""
        with self._reading() as connection:
            connection.execute(sa.select(users.c.revision).limit(1))

    def add_key(self, name: str, role: Role) -> str:
        """Make an API key and return it; only its hash is kept.

        Raises:
            ConfigError: There is a key of that name.
        """
        key = f"gm_{secrets.token_urlsafe(32)}"
        try:
            with self._engine.begin() as connection:
                connection.execute(
                    sa.insert(keys).values(name=name, role=role, sha256=_digest(key))
                )
        except IntegrityError as error:
            raise ConfigError(f"there is a key named {name!r}; remove it first") from error
        return key

    def remove_key(self, name: str) -> None:
        """Delete a key.

        Raises:
            ConfigError: There is none of that name.
        """
        with self._engine.begin() as connection:
            if not connection.execute(sa.delete(keys).where(keys.c.name == name)).rowcount:
                raise ConfigError(f"there is no key named {name!r}")

    def key_names(self) -> list[tuple[str, Role]]:
        """Return the names and roles of all keys."""
        with self._reading() as connection:
            found = connection.execute(sa.select(keys.c.name, keys.c.role).order_by(keys.c.name))
            return [(row.name, cast(Role, row.role)) for row in found]

    def role_of(self, key: str | None) -> Role | None:
        """Return what a key allows, None where it is not known.

        Without any key in the database everybody may do everything, or nobody anything where a key
        is needed.
        """
        with self._reading() as connection:
            roles = {
                row.sha256: cast(Role, row.role)
                for row in connection.execute(sa.select(keys.c.sha256, keys.c.role))
            }
        if not roles and not self._needs_key:
            return "admin"
        return None if key is None else roles.get(_digest(key))

    def _insert(self, table: sa.Table) -> Any:
        return (sqlite if self._is_sqlite else postgresql).insert(table)

    def _reading(self) -> sa.Connection:
        """Return a connection whose statements all see the same moment."""
        # SQLite's readers do so anyway.
        level = {} if self._is_sqlite else {"isolation_level": "REPEATABLE READ"}
        return self._engine.connect().execution_options(**{READS: True}, **level)

    def _scrub(self) -> None:
        """Empty SQLite's write-ahead log, which still holds what was deleted."""
        if not self._is_sqlite:
            return
        for _ in range(CHECKPOINTS):
            if self._empties_log():
                return
            time.sleep(BETWEEN)
        raise TracesLeftError("deleted, but traces remain in the database's log while it is read")

    def _empties_log(self) -> bool:
        connection = self._engine.raw_connection()
        try:
            cursor = connection.cursor()
            cursor.execute(f"PRAGMA busy_timeout = {WAIT}")
            try:
                cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                ((is_busy, _, _),) = cursor.fetchall()
            finally:
                cursor.execute(f"PRAGMA busy_timeout = {1000 * PATIENCE}")
                cursor.close()
        finally:
            connection.close()
        return not is_busy


def latest(given: Iterable[Event]) -> list[Event]:
    """Return of each item the latest event, of equal times the last one; in order of time."""
    of_item: dict[str, Event] = {}
    for event in sorted(given, key=lambda event: event.time):
        of_item.pop(event.item, None)
        of_item[event.item] = event
    return list(of_item.values())


def _first_revision() -> int:
    # A user who was deleted and comes back has other revisions: what was made of the old events
    # must not be kept for the new ones. Half of what an INTEGER holds is left to count on.
    return 1 + secrets.randbits(30)


def _digest(key: str) -> str:
    # A key is 256 random bits: a slow hash would protect nothing more.
    return hashlib.sha256(key.encode()).hexdigest()
