"""Interactions on disk: streamed in, memory-mapped, appended to, never held as one table."""

from graphmeta.store.id_column import IdColumn
from graphmeta.store.interaction_store import InteractionStore
from graphmeta.store.segment import Segment

__all__ = ["IdColumn", "InteractionStore", "Segment"]
