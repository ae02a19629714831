"""What a caller is told of a job."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class PartRanked:
    """A part that was just written.

    Args:
        part: Its number, from 0.
        done: How many parts are written, those of earlier runs among them.
        of: How many parts there are.
        worker: The process that ranked it.
    """

    part: int
    done: int
    of: int
    worker: int


@dataclass(frozen=True)
class BulkReport:
    """What a job came to.

    Args:
        folder: Where the parts lie.
        users: How many users are ranked, each once.
        parts: How many files that makes.
        parts_now: How many of them this run wrote; the others were there.
        unknown: Interactions with items that the model does not know.
        skipped: Names of damaged files that were left out.
        gather_seconds: What it took this run to gather the users' interactions.
        rank_seconds: What it took this run to rank and write, the start of workers included.
    """

    folder: Path
    users: int
    parts: int
    parts_now: int
    unknown: int
    skipped: tuple[str, ...]
    gather_seconds: float
    rank_seconds: float
