"""One cell of a run: a method on the split of one seed."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from graphmeta.experiments.run_folder import RunFolder


@dataclass(frozen=True)
class Cell:
    """What one method left on the test users of one split.

    Args:
        seed: The split seed.
        method: The method's name.
        per_user: Metrics of each user and support size.
        rankings: The best items of each user and support size.
        catalogue: One entry per support size with the catalogue metrics.
        tuning: One entry per support size with the chosen values.
        losses: Training loss of each epoch.
        seconds: How long tuning, training and scoring took.
        commit: The commit of the code, where it is known.
    """

    seed: int
    method: str
    per_user: pd.DataFrame
    rankings: pd.DataFrame
    catalogue: list[dict[str, Any]]
    tuning: list[dict[str, Any]] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    seconds: float = 0.0
    commit: str | None = None

    def save(self, folder: RunFolder) -> None:
        """Write the cell; the file that marks it as finished comes last.

        Raises:
            OutputError: A file cannot be written; the cell then counts as not finished.
        """
        place = cell_place(self.seed, self.method)
        folder.write_frame(f"{place}/per_user.parquet", self.per_user)
        folder.write_frame(f"{place}/rankings.parquet", self.rankings)
        names = ("seed", "method", "catalogue", "tuning", "losses", "seconds", "commit")
        folder.write_json(f"{place}/cell.json", {name: getattr(self, name) for name in names})

    @classmethod
    def load(cls, folder: RunFolder, *, seed: int, method: str) -> Cell | None:
        """Return a finished cell, None where it is not finished."""
        place = cell_place(seed, method)
        rest = folder.read_json(f"{place}/cell.json")
        if rest is None:
            return None
        return cls(
            per_user=pd.read_parquet(folder.path / place / "per_user.parquet"),
            rankings=pd.read_parquet(folder.path / place / "rankings.parquet"),
            **rest,
        )


def is_finished(folder: RunFolder, *, seed: int, method: str) -> bool:
    """Return whether a cell is there whole."""
    return (folder.path / cell_place(seed, method) / "cell.json").is_file()


def plain_rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a frame's rows as JSON holds them, so that one read back equals one just made."""
    rows: list[dict[str, Any]] = json.loads(frame.to_json(orient="records", double_precision=15))
    return rows


def cell_place(seed: int, method: str) -> str:
    """Return where in the run folder a cell lies."""
    return f"cells/seed-{seed}/{method}"
