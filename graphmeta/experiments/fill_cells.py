"""Fills the cells of a run: every method on every split, each written as it is finished."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from graphmeta.errors import GraphMetaError
from graphmeta.experiments.cell import Cell, is_finished
from graphmeta.experiments.compute_cells import compute_cells
from graphmeta.experiments.methods import Method
from graphmeta.experiments.run_data import RunData
from graphmeta.experiments.run_folder import RunFolder
from graphmeta.experiments.run_progress import OnCell, RunProgress
from graphmeta.experiments.workers import Task, run_workers


def fill_cells(
    data: RunData,
    methods: Sequence[Method],
    folder: RunFolder,
    words: Console,
    on_cell: OnCell | None = None,
) -> tuple[list[Cell], int]:
    """Return all cells, those found finished in the folder and those computed now.

    Args:
        data: The splits and settings.
        methods: The methods of the run.
        folder: Where the cells are.
        words: Where the progress bars go.
        on_cell: Told of each cell that has just been finished.

    Returns:
        The cells in the order of splits and methods, and the memory that worker processes held
        at most, in MiB.

    Raises:
        GraphMetaError: A method fails, a file cannot be written, or a worker was killed.
    """
    seeds = [split.seed for split in data.splits]
    wanted = [(seed, method) for seed in seeds for method in methods]
    missing = [(s, m) for s, m in wanted if not is_finished(folder, seed=s, method=m.name)]
    workers, memory = data.settings.workers or 1, 0
    with RunProgress(
        words, total=len(wanted), done=len(wanted) - len(missing), on_cell=on_cell
    ) as progress:
        if workers > 1 and len(missing) > 1:
            memory = run_workers(
                _tasks(missing), data.settings, folder, progress, n_workers=workers
            )
        else:
            for split in data.splits:
                rest = [method for seed, method in missing if seed == split.seed]
                compute_cells(rest, split, data.settings, folder, progress)
    cells = [Cell.load(folder, seed=seed, method=method.name) for seed, method in wanted]
    if any(cell is None for cell in cells):
        raise GraphMetaError("a cell is missing although its work was done; resume the run")
    return [cell for cell in cells if cell is not None], memory


def _tasks(missing: Sequence[tuple[int, Method]]) -> list[Task]:
    """Return the work in pieces, methods that share their training together."""
    pieces: dict[tuple[int, str, bool], list[str]] = {}
    for seed, method in missing:
        is_shared = method.training is not None
        piece = (seed, method.training or method.name, is_shared)
        pieces.setdefault(piece, []).append(method.name)
    return [
        Task(seed, tuple(names), is_large=is_shared)
        for (seed, _, is_shared), names in pieces.items()
    ]
