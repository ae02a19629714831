"""The progress bars of a run, on standard error."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

OnCell = Callable[[int, str], None]


class RunProgress:
    """Shows how many cells are done and how training goes; a context manager.

    Args:
        console: Where the bars are drawn.
        total: Cells of the run.
        done: Cells that are there already.
        on_cell: Told of each cell that is finished, by split seed and method.
    """

    def __init__(
        self, console: Console, *, total: int, done: int = 0, on_cell: OnCell | None = None
    ) -> None:
        self._on_cell = on_cell
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
        )
        self._cells = self._bars.add_task("cells", total=total, completed=done)
        self._epochs = self._bars.add_task("epochs", visible=False)

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bars.stop()

    def begin(self, seed: int, method: str) -> None:
        """Name the cell that is worked on."""
        self._bars.update(self._cells, description=f"seed {seed}, {method}")

    def epoch(self, epoch: int, epochs: int, loss: float) -> None:
        """Show an epoch that has ended, counted from 1."""
        self._bars.update(
            self._epochs,
            visible=epoch < epochs,
            completed=epoch,
            total=epochs,
            description=f"epochs, loss {loss:.4f}",
        )

    def finish(self, seed: int, method: str) -> None:
        """Count a cell as done."""
        self._bars.advance(self._cells)
        if self._on_cell is not None:
            self._on_cell(seed, method)
