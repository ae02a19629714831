"""Synthetic interactions of any number, with the long tails of real ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from graphmeta.data.whole_file import write_whole
from graphmeta.errors import ConfigError

ROWS_PER_FILE = 2_000_000


def write_power_law(
    folder: str | Path,
    *,
    num_users: int,
    num_items: int,
    num_edges: int,
    user_exponent: float = 0.4,
    item_exponent: float = 0.6,
    seed: int = 0,
) -> list[Path]:
    """Write interactions as Parquet files of two million rows, and return the files.

    The user at rank r has a share of the interactions in proportion to `r ** -user_exponent`, and
    likewise the items; users and items are drawn independently, so that few pairs come twice. Ids
    are whole numbers with gaps. Files that are there already, as from an interrupted call with the
    same arguments, are kept: take another folder for other arguments.

    Args:
        folder: Where the files go.
        num_users: Users to draw from.
        num_items: Items to draw from.
        num_edges: Rows in all.
        user_exponent: How unequal users are, from 0 (equal) to below 1.
        item_exponent: How unequal items are, from 0 to below 1.
        seed: The seed of all draws.

    Raises:
        ConfigError: A number is below 1, or an exponent outside 0 to 1.
        OutputError: A file cannot be written.
    """
    if min(num_users, num_items, num_edges) < 1:
        raise ConfigError("num_users, num_items and num_edges must be at least 1")
    for name, exponent in (("user_exponent", user_exponent), ("item_exponent", item_exponent)):
        if not 0 <= exponent < 1:
            raise ConfigError(f"{name}={exponent} must lie between 0 and 1, 1 excluded")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for number, start in enumerate(range(0, num_edges, ROWS_PER_FILE)):
        file = folder / f"part-{number:05d}.parquet"
        files.append(file)
        if file.exists():
            continue
        rng = np.random.default_rng([seed, number])
        n = min(ROWS_PER_FILE, num_edges - start)
        columns = {}
        for name, size, exponent, step in (
            ("user", num_users, user_exponent, 7919),
            ("item", num_items, item_exponent, 104_729),
        ):
            # The inverse of the share of the first ranks, which grows as rank ** (1 - exponent).
            rank = (size * rng.random(n) ** (1 / (1 - exponent))).astype(np.int64)
            columns[name] = rank * step % 2**40
        table = pa.table(columns)
        write_whole(file, lambda path, table=table: pq.write_table(table, path))  # type: ignore[misc]
    return files
