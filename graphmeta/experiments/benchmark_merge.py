"""One report of benchmarks that ran apart, on other days or machines.

Run it with `python -m graphmeta.experiments.benchmark_merge FOLDER FOLDER --out FOLDER`.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from rich.console import Console

from graphmeta.errors import DataError, GraphMetaError
from graphmeta.experiments.benchmark_report import write_report
from graphmeta.experiments.benchmark_rows import ROWS
from graphmeta.experiments.benchmark_runs import DataSetRun, runs_of
from graphmeta.experiments.cold_start_run import say
from graphmeta.experiments.run_folder import RunFolder, check_creatable


def main(argv: list[str] | None = None) -> int:
    """Write the joint report and return the exit code, 2 for bad input."""
    parser = argparse.ArgumentParser(
        prog="python -m graphmeta.experiments.benchmark_merge",
        description="Write one report of benchmarks that ran apart.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "folders",
        nargs="+",
        type=Path,
        help="folders of benchmarks, or of what they left; where two have a split of a data set, "
        "the later one's counts",
    )
    parser.add_argument("--out", required=True, type=Path, help="a new folder for the report")
    line = parser.parse_args(argv)
    words = Console(stderr=True)
    try:
        check_creatable(line.out)
        merge(line.folders, line.out)
    except GraphMetaError as error:
        say(words, f"error: {' '.join(str(error).split())}")
        return 2
    say(words, f"the report is in {line.out}")
    return 0


def merge(folders: list[Path], out: Path) -> None:
    """Write the report of all splits of all data sets, the later folder's where two have one.

    Raises:
        DataNotFoundError: A folder holds no benchmark.
        DataError: What a benchmark left cannot be read, or nothing has finished.
        OutputError: A file cannot be written.
    """
    runs: dict[str, DataSetRun] = {}
    sessions = []
    for path in folders:
        found, about = runs_of(path)
        sessions.append(about)
        for run in found:
            held = runs.get(run.name)
            runs[run.name] = run if held is None else run.with_earlier(held)
    if not runs:
        raise DataError("no data set has finished in these folders; continue one with --resume")
    order = [runs[name] for name in sorted(runs)]
    folder = RunFolder(out)
    lines = [json.dumps(row) for run in order for row in run.rows]
    folder.write_text(ROWS, "\n".join(lines) + "\n")
    write_report(folder, order, "\n".join(sessions))


if __name__ == "__main__":
    sys.exit(main())
