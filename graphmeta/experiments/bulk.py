"""Ranks for many new users with one worker, with two, and with one that is killed.

Run it with `python -m graphmeta.experiments.bulk BUNDLE`. New users' histories are drawn from the
model's catalogue. All runs must write the same bytes. Needs the extra `scale`.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from graphmeta.bulk import PartRanked, rank_in_bulk
from graphmeta.errors import ProtocolError
from graphmeta.experiments.fitted_splits import made_by, run_report
from graphmeta.experiments.markdown_table import markdown_table
from graphmeta.ranking import ColdStartRecommender

PROGRAM = "graphmeta.experiments.bulk"
FILES, LONGEST = 8, 10


@dataclass(frozen=True)
class BulkRun:
    """What one run took and wrote.

    Args:
        workers: How many processes ranked.
        killed: How many of them were killed.
        seconds: From the first to the last, gathering and the start of workers included.
        ranking: From the first part that was written to the last.
        users: How many users were ranked.
        share: The share of the parts that `ranking` is about: all but the first of each worker.
        parts: What was written, by name.
    """

    workers: int
    killed: int
    seconds: float
    ranking: float
    users: int
    share: float
    parts: dict[str, bytes]

    @property
    def rate(self) -> float:
        """Users a second once the workers are at work."""
        return self.users * self.share / self.ranking


def main(argv: list[str] | None = None) -> int:
    """Rank, compare, print what it took and return the exit code: 1 where bytes differ."""
    parser = argparse.ArgumentParser(prog=f"python -m {PROGRAM}", allow_abbrev=False)
    parser.add_argument("bundle", type=Path, help="the file of a model")
    parser.add_argument("--users", type=int, default=200_000)
    parser.add_argument("--part-users", type=int, default=2048, help="users in a file, about")
    parser.add_argument("--folder", type=Path, help="where to write; by default a temporary one")
    parser.add_argument("--out", type=Path, help="write the report to this Markdown file")
    typed = parser.parse_args(argv)
    differ: list[str] = []

    def report() -> str:
        with tempfile.TemporaryDirectory(dir=typed.folder) as folder:
            runs = compare(
                typed.bundle, Path(folder), users=typed.users, part_users=typed.part_users
            )
        differ.extend(name for run in runs for name in differing(runs[0], run))
        return f"# Ranking in bulk\n\n{made_by(PROGRAM, argv)}\n\n{_told(runs, differ)}"

    return run_report(typed, report) or int(bool(differ))


def compare(bundle: Path, folder: Path, *, users: int, part_users: int) -> list[BulkRun]:
    """Rank the same users with one worker, two, and two of which one is killed.

    Args:
        bundle: The model.
        folder: Where to write.
        users: How many users.
        part_users: About how many make a part; each worker should get several.

    Raises:
        ProtocolError: There are too few parts to measure, or to kill in the midst of them.
    """
    histories = folder / "histories"
    draw_histories(ColdStartRecommender.load(bundle), histories, users=users)
    runs = []
    for name, workers, is_killed in (("one", 1, False), ("two", 2, False), ("killed", 2, True)):
        out = folder / name
        watch = _Watch(is_killed)
        begun = time.perf_counter()
        done = rank_in_bulk(
            bundle, histories, out, workers=workers, part_users=part_users, on_part=watch.tell
        )
        seconds = time.perf_counter() - begun
        if done.parts < 4 * workers:
            raise ProtocolError(
                f"{done.parts} parts for {workers} workers show nothing; give more users, or a "
                "lower part_users"
            )
        written = {path.name: path.read_bytes() for path in sorted(out.glob("part-*"))}
        share = 1 - workers / done.parts
        ranking = watch.times[-1] - watch.times[workers - 1]
        runs.append(BulkRun(workers, int(is_killed), seconds, ranking, done.users, share, written))
    return runs


def differing(one: BulkRun, other: BulkRun) -> list[str]:
    """Return the names of the parts that are not the same in two runs."""
    names = sorted(one.parts.keys() | other.parts.keys())
    return [name for name in names if one.parts.get(name) != other.parts.get(name)]


def draw_histories(model: ColdStartRecommender, folder: Path, *, users: int, seed: int = 0) -> None:
    """Write histories of one to ten items, drawn by popularity, a user's spread over files.

    Args:
        model: Whose catalogue is drawn from.
        folder: Where the files go.
        users: How many users.
        seed: Draws everything.
    """
    draw = np.random.default_rng(seed)
    degree = model.fitted.head.vote.item_degree.cpu().numpy().astype(float)
    sizes = draw.integers(1, LONGEST + 1, users)
    user = np.repeat(np.arange(users), sizes)
    items = draw.choice(model.item_ids.ids, len(user), p=degree / degree.sum())
    file = draw.integers(0, FILES, len(user))
    folder.mkdir()
    for number in range(FILES):
        rows = file == number
        table = pa.table({"user": user[rows], "item": pa.array(items[rows])})
        pq.write_table(table, folder / f"{number}.parquet")


class _Watch:
    """Notes when parts are written, and may kill who wrote the first."""

    def __init__(self, kills: bool) -> None:
        self.times: list[float] = []
        self._kill: Callable[[int, int], None] | None = os.kill if kills else None

    def tell(self, part: PartRanked) -> None:
        self.times.append(time.perf_counter())
        if self._kill is not None and 2 * part.done >= part.of:  # In the midst of the job.
            self._kill(part.worker, signal.SIGKILL)
            self._kill = None


def _told(runs: list[BulkRun], differ: list[str]) -> str:
    one, two, killed = runs
    columns = ["workers", "killed", "users", "seconds", "users/s, all told", "users/s, at work"]
    rows = [
        [
            str(run.workers),
            str(run.killed),
            f"{run.users:,}",
            f"{run.seconds:,.1f}",
            f"{run.users / run.seconds:,.0f}",
            f"{run.rate:,.0f}",
        ]
        for run in (one, two, killed)
    ]
    whole, at_work = one.seconds / (2 * two.seconds), two.rate / (2 * one.rate)
    same = "the same bytes in all runs" if not differ else f"not the same: {', '.join(differ)}"
    return (
        f"{markdown_table(columns, rows)}\n\n"
        f"Scaling efficiency t1 / (2 t2): {whole:.2f} all told, {at_work:.2f} once the workers are "
        f"at work.\nThe {len(one.parts)} parts are {same}."
    )


if __name__ == "__main__":
    sys.exit(main())
