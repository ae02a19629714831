"""How long it takes to read a million ratings into a graph, next to reading the bare table.

Run it with `python -m graphmeta.experiments.reading`, or with a Parquet file of your own that
has the columns user, item and rating.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table

from graphmeta.data import from_file, planted_interactions
from graphmeta.errors import GraphMetaError
from graphmeta.experiments.manifest import peak_memory_mib
from graphmeta.experiments.run_apart import run_apart

COLUMNS = ["user", "item", "rating"]
REPEATS = 5


def read_table(path: str) -> int:
    """Read the table alone and return its rows."""
    return len(pd.read_parquet(path, columns=COLUMNS))


def read_graph(path: str) -> int:
    """Read the graph and return its interactions."""
    graph = from_file(path, rating="rating")
    return int(graph["user", "rates", "item"].edge_index.size(1))


def measure(read: Callable[[str], int], path: str) -> tuple[list[float], int, int]:
    """Return seconds per repetition, the MiB that reading added to the peak, and the rows."""
    before, seconds, rows = peak_memory_mib(), [], 0
    for _ in range(REPEATS):
        start = time.perf_counter()
        rows = read(path)
        seconds.append(time.perf_counter() - start)
    return seconds, peak_memory_mib() - before, rows


def main(argv: list[str] | None = None) -> int:
    """Measure, print a table and return the exit code: 2 where the file cannot be read."""
    parser = argparse.ArgumentParser(
        prog="python -m graphmeta.experiments.reading", allow_abbrev=False
    )
    parser.add_argument("file", nargs="?", help="a Parquet file; by default a planted one")
    parser.add_argument("--users", type=int, default=6000, help="users of the planted file")
    typed = parser.parse_args(argv)
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = typed.file or _planted_file(Path(folder), typed.users)
            _report(path, Console())
    except GraphMetaError as error:
        Console(stderr=True).print(f"error: {error}", markup=False, soft_wrap=True)
        return 2
    return 0


def _planted_file(folder: Path, n_users: int) -> str:
    path = folder / "ratings.parquet"
    planted_interactions(n_users, 3700, per_user=167).to_parquet(path)
    return str(path)


def _report(path: str, console: Console) -> None:
    read_graph(path)  # A file that cannot be read is refused here, before anything is measured.
    found = {}
    for name, read in (("table alone", read_table), ("graph", read_graph)):
        # A process of its own for each, or the second would find its memory already there.
        found[name] = run_apart(measure, read, path)
    rows = found["graph"][2]
    table = Table(title=f"Reading {rows:,} interactions, {REPEATS} times each")
    for column in ("what", "median s", "range s", "peak memory added, MiB"):
        table.add_column(column, justify="left" if column == "what" else "right")
    for name, (seconds, memory, _) in found.items():
        span = f"{min(seconds):.2f} to {max(seconds):.2f}"
        table.add_row(name, f"{statistics.median(seconds):.2f}", span, str(memory))
    console.print(table)
    ratio = statistics.median(found["graph"][0]) / statistics.median(found["table alone"][0])
    console.print(f"the graph takes {ratio:.1f} times as long as the table alone")


if __name__ == "__main__":
    sys.exit(main())
