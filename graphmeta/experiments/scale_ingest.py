"""What building, opening and appending to a store costs, each in a process of its own."""

from __future__ import annotations

import shutil
import statistics
import time
from pathlib import Path
from typing import Any

from graphmeta.data import write_power_law
from graphmeta.experiments.manifest import peak_memory_mib
from graphmeta.experiments.run_apart import run_apart
from graphmeta.store import InteractionStore

# A day's events, as a share of the interactions.
DAY = 0.01
OPENINGS = 5
MIB = 2**20


def measure_ingest(folder: Path, name: str, edges: int, users: int, items: int) -> dict[str, Any]:
    """Draw interactions, build a store of them, and append a day's events to a copy of it.

    Args:
        folder: The run's folder.
        name: What the files are called.
        edges: Interactions.
        users: Users they are drawn from.
        items: Items they are drawn from.
    """
    sizes = {"num_users": users, "num_items": items}
    events, day = folder / "events" / name, folder / "events" / f"{name}-day"
    write_power_law(events, **sizes, num_edges=edges)
    write_power_law(day, **sizes, num_edges=max(1, int(DAY * edges)), seed=1)
    store, copy = folder / "stores" / name, folder / "stores" / f"{name}-day"
    for path in (store, copy):
        shutil.rmtree(path, ignore_errors=True)
    # Sorting may take what the arrays will, but no less than DuckDB needs for its own buffers.
    memory = f"{max(256, int(9 * edges / MIB))}MB"
    found = run_apart(_build, store, events, memory)
    shutil.copytree(store, copy)
    found |= run_apart(_append, copy, day, memory)
    shutil.rmtree(copy)
    return {"drawn": edges, "memory": memory, **found}


def _build(path: Path, events: Path, memory: str) -> dict[str, Any]:
    before, start = peak_memory_mib(), time.perf_counter()
    store = InteractionStore.build(path, events, memory=memory)
    seconds, peak = time.perf_counter() - start, peak_memory_mib()
    opened = []
    for _ in range(OPENINGS):
        start = time.perf_counter()
        InteractionStore.open(path)
        opened.append(time.perf_counter() - start)
    return {
        "edges": store.num_edges,
        "users": store.num_users,
        "items": store.num_items,
        "arrays_mib": store.nbytes / MIB,
        "build_s": seconds,
        "process_mib": before,
        "peak_mib": peak,
        "open_s": statistics.median(opened),
    }


def _append(path: Path, events: Path, memory: str) -> dict[str, Any]:
    store = InteractionStore.open(path)
    before, start = store.num_edges, time.perf_counter()
    store = store.append(events, memory=memory)
    seconds = time.perf_counter() - start
    return {"appended": store.num_edges - before, "append_s": seconds}
