"""The tables of a service: users, their events, and keys."""

from __future__ import annotations

from sqlalchemy import (
    Column,
    Float,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData()

# A state belongs to a model and to a revision of the user's events; all else is out of date.
users = Table(
    "users",
    metadata,
    Column("user_id", Text, primary_key=True),
    Column("revision", Integer, nullable=False),
    Column("state", LargeBinary),
    Column("state_model", Text),
    Column("state_revision", Integer),
)

events = Table(
    "events",
    metadata,
    Column("event_id", Integer, primary_key=True),
    Column("user_id", Text, ForeignKey("users.user_id"), nullable=False),
    Column("item_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("rating", Float),
    Column("time", Float, nullable=False),
    UniqueConstraint("user_id", "item_id"),
)

keys = Table(
    "keys",
    metadata,
    Column("name", Text, primary_key=True),
    Column("role", Text, nullable=False),
    Column("sha256", Text, nullable=False, unique=True),
)
