"""Opens a database and brings its tables up to date."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from graphmeta.errors import ConfigError, MissingExtraError, OutputError

# Seconds that a writer waits for another one, and a request for the database.
PATIENCE = 5
# An execution option of connections that only read.
READS = "graphmeta_reads"


def open_database(url: str) -> sa.Engine:
    """Return a connected engine whose tables are up to date.

    In SQLite events are on the disk before they are acknowledged, readers do not wait for writers,
    and what is deleted is overwritten.

    Args:
        url: An SQLAlchemy URL, such as `sqlite:///graphmeta.db` or
            `postgresql+psycopg://user@host/name`.

    Raises:
        ConfigError: The URL is none, or of another kind of database.
        MissingExtraError: The package that talks to the database is not installed.
        OutputError: The database cannot be reached, read or written, or was made by a later
            release.
    """
    engine = _engine(url)
    try:
        with engine.begin() as connection:
            _migrate(connection)
    except (CommandError, SQLAlchemyError) as error:
        engine.dispose()
        if isinstance(error, CommandError):
            raise OutputError(
                f"the tables of {engine.url!r} were made by a later release ({error}); upgrade "
                "graphmeta"
            ) from error
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        raise OutputError(
            f"cannot use the database {engine.url!r}: {reason}; check the URL and who may write"
        ) from error
    return engine


def _engine(url: str) -> sa.Engine:
    try:
        kind = sa.make_url(url).get_backend_name()
    except ArgumentError as error:
        raise ConfigError(
            "the database URL cannot be read; give one such as sqlite:///graphmeta.db"
        ) from error
    if kind not in ("sqlite", "postgresql"):
        raise ConfigError(f"a database of kind {kind!r} is not served; use sqlite or postgresql")
    waits = {"timeout" if kind == "sqlite" else "connect_timeout": PATIENCE}
    try:
        engine = sa.create_engine(
            url, pool_pre_ping=True, pool_timeout=PATIENCE, max_overflow=35, connect_args=waits
        )
    except (ImportError, NoSuchModuleError) as error:
        raise MissingExtraError(
            f"the database driver is not installed ({error}); pip install 'graphmeta[postgresql]' "
            "and start the URL with postgresql+psycopg://"
        ) from error
    if kind == "sqlite":
        sa.event.listen(engine, "connect", _prepare_sqlite)
        sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # We say BEGIN ourselves, see _begin_sqlite.
    for pragma in (
        "journal_mode = WAL",
        "synchronous = FULL",
        "secure_delete = ON",
        "foreign_keys = ON",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: sa.Connection) -> None:
    # A writer that first read would be refused where another one wrote in between.
    reads = connection.get_execution_options().get(READS, False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def _migrate(connection: sa.Connection) -> None:
    if connection.dialect.name == "postgresql":  # Of several that start at once, one migrates.
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(727274)"))
    config = Config()
    folder = str(Path(__file__).parent / "migrations")
    config.set_main_option("script_location", folder.replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
