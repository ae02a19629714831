"""What a finished run leaves: tables, figures and the manifest."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from graphmeta.errors import ProtocolError
from graphmeta.experiments.cell import Cell, plain_rows
from graphmeta.experiments.contrasts import contrasts
from graphmeta.experiments.figures import draw_figures
from graphmeta.experiments.manifest import now, peak_memory_mib
from graphmeta.experiments.methods import Method
from graphmeta.experiments.pooled import (
    catalogue_table,
    edge_notes,
    gate_notes,
    pooled_per_user,
    pooled_rankings,
    summary_table,
    tuning_table,
)
from graphmeta.experiments.report import report_markdown
from graphmeta.experiments.result_table import print_results
from graphmeta.experiments.run_checks import adaptation_notes, collapsed
from graphmeta.experiments.run_data import RunData
from graphmeta.experiments.run_folder import MANIFEST, RunFolder
from graphmeta.explain.figure import has_matplotlib


@dataclass(frozen=True)
class Held:
    """What a session took.

    Args:
        began_at: `time.monotonic()` when it began.
        worker_memory_mib: The sum of its worker processes' peaks of memory.
    """

    began_at: float
    worker_memory_mib: int


def write_outcome(
    cells: Sequence[Cell],
    data: RunData,
    methods: Sequence[Method],
    folder: RunFolder,
    console: Console,
    held: Held,
) -> None:
    """Pool the cells, write and print the results, and check them for collapse.

    Args:
        cells: Every cell of the run.
        data: The splits and settings.
        methods: The methods of the run.
        folder: Where the results go.
        console: Where the table goes.
        held: The time and memory of this session.

    Raises:
        OutputError: A file cannot be written.
        ProtocolError: Figures are too alike to be true; they are written all the same, with
            what was found. A smoke run only notes it.
    """
    per_user = pooled_per_user(cells)
    summary = summary_table(per_user)
    tuning = tuning_table(cells)
    findings = collapsed(cells, methods)
    folder.write_frame("per_user.parquet", per_user)
    folder.write_frame("rankings.parquet", pooled_rankings(cells))
    metrics = {
        "data": data.settings.data_name,
        "quick": data.settings.quick,
        "k": list(data.settings.k or ()),
        "seeds": list(data.settings.seeds or ()),
        "methods": [method.name for method in methods],
        "n_users": len(per_user.drop_duplicates(["seed", "user"])),
        "notes": [
            *data.notices,
            *edge_notes(tuning),
            *gate_notes(tuning),
            *adaptation_notes(cells),
            *(f"collapsed: {finding}" for finding in findings),
        ],
        "summary": summary.to_dict(orient="records"),
        "catalogue": plain_rows(catalogue_table(cells)),
        "contrasts": contrasts(per_user, methods),
        "tuning": tuning,
        "losses": [
            {"seed": cell.seed, "method": cell.method, "loss": cell.losses}
            for cell in cells
            if cell.losses
        ],
    }
    folder.write_json("metrics.json", metrics)
    draw_figures(folder, data, summary, metrics)
    manifest = _closed_manifest(folder, cells, held)
    report = report_markdown(summary, metrics, manifest, has_figures=has_matplotlib())
    folder.write_text("report.md", report)
    folder.write_json(MANIFEST, manifest)
    print_results(summary, metrics, console)
    if findings and not data.settings.quick:
        raise ProtocolError(f"{len(findings)} figures have collapsed; first: {findings[0]}")


def _closed_manifest(folder: RunFolder, cells: Sequence[Cell], held: Held) -> dict[str, Any]:
    manifest: dict[str, Any] = folder.read_json(MANIFEST) or {}
    if manifest.get("status") == "finished":
        return manifest  # Resumed with nothing left to do: what the work took stands there.
    return manifest | {
        "status": "finished",
        "finished": now(),
        # By the clock, of the session that finished the run; a cell's are of that cell alone.
        "seconds": round(time.monotonic() - held.began_at, 1),
        "peak_memory_mib": peak_memory_mib() + held.worker_memory_mib,
        "cells": [
            {name: getattr(cell, name) for name in ("seed", "method", "seconds", "commit")}
            for cell in cells
        ],
    }
