"""One row for each data set, method, support size and split seed that is finished."""

from __future__ import annotations

import json
from typing import Any

from graphmeta.experiments.cell import Cell
from graphmeta.experiments.pooled import METRICS
from graphmeta.experiments.run_folder import RunFolder

ROWS = "rows.jsonl"


class BenchmarkRows:
    """Keeps `rows.jsonl` of a benchmark up to date while one data set runs.

    Args:
        folder: The folder of the benchmark, in which each data set has its own.
        data: The data set that runs.
    """

    def __init__(self, folder: RunFolder, data: str) -> None:
        self._folder, self._data = folder, data
        self._run = RunFolder(folder.path / data)
        self._rows: dict[tuple[str, int, str], list[dict[str, Any]]] = {}
        place = folder.path / ROWS
        for line in place.read_text(encoding="utf-8").splitlines() if place.is_file() else ():
            row = json.loads(line)
            self._rows.setdefault((row["data"], row["seed"], row["method"]), []).append(row)

    def add(self, seed: int, method: str) -> None:
        """Take in a cell that has been finished, and write the file.

        Raises:
            OutputError: It cannot be written.
        """
        self._take_in(seed, method)
        self._write()

    def write(self) -> None:
        """Take in every finished cell of the data set, of other sessions too, and write the file.

        Raises:
            OutputError: It cannot be written.
        """
        for file in sorted(self._run.path.glob("cells/seed-*/*/cell.json")):
            self._take_in(int(file.parts[-3].removeprefix("seed-")), file.parts[-2])
        self._write()

    def _take_in(self, seed: int, method: str) -> None:
        cell = Cell.load(self._run, seed=seed, method=method)
        if cell is None:
            return
        by_k = dict(tuple(cell.per_user.groupby("k")))
        self._rows[self._data, seed, method] = [
            {
                "data": self._data,
                "method": method,
                "k": int(str(k)),
                "seed": seed,
                **{name: float(part[name].mean()) for name in METRICS},
                "n_users": len(part),
                "seconds": cell.seconds,
                "commit": cell.commit,
            }
            for k, part in by_k.items()
        ]

    def _write(self) -> None:
        # Whole each time, so that a kill leaves no half row.
        rows = [json.dumps(row) for group in self._rows.values() for row in group]
        self._folder.write_text(ROWS, "\n".join(rows) + "\n")
