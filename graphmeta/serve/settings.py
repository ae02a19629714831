"""How a service runs."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class ServeSettings(BaseModel):
    """Limits and places of a service; all have a default that serves.

    Args:
        database: Where events and states are kept, as an SQLAlchemy URL.
        needs_key: Let nobody in while the database has no API key. Without it everybody may do
            everything until the first key is made: only for addresses that others cannot reach.
        max_batch: Most requests that are adapted and ranked together.
        max_queue: Most requests that wait to be ranked; further ones are told to come again.
        max_requests: Most requests of every kind that are at work at once.
        time_limit: Seconds after which a request is answered that it took too long.
        max_history: The model reads so many of a user's latest interactions; adapting costs the
            square of their number.
        max_body: Bytes of the largest request that is read.
        has_page: Serve the page at `/`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    database: str = "sqlite:///graphmeta.db"
    needs_key: bool = False
    max_batch: int = Field(default=64, ge=1)
    max_queue: int = Field(default=512, ge=1)
    max_requests: int = Field(default=1_024, ge=1)
    time_limit: float = Field(default=5.0, gt=0)
    max_history: int = Field(default=50, ge=1)
    max_body: int = Field(default=1_000_000, ge=1_000)
    has_page: bool = True
