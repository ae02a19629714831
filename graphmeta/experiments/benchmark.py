"""Does graphmeta lead? One default configuration against every tuned baseline, on many data sets.

Run it with `python -m graphmeta.experiments.benchmark`; `--help` lists the options.
"""

from __future__ import annotations

import difflib
import shlex
import sys
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from rich.console import Console

from graphmeta.data.named_sets import local_folder, named_sets
from graphmeta.errors import GraphMetaError, ProtocolError
from graphmeta.experiments.benchmark_report import write_benchmark
from graphmeta.experiments.benchmark_rows import BenchmarkRows
from graphmeta.experiments.cold_start_run import run_cold_start, say
from graphmeta.experiments.coldstart import exit_code
from graphmeta.experiments.command_line import CommandLine, parse_command_line
from graphmeta.experiments.methods import choose_methods
from graphmeta.experiments.run_folder import CONFIG, RunFolder
from graphmeta.experiments.sessions import open_folder
from graphmeta.experiments.settings import (
    Count,
    NotNegative,
    read_toml,
    validated,
)

PROGRAM = "python -m graphmeta.experiments.benchmark"
PURPOSE = "Compare one default configuration with every tuned baseline on many data sets."
DATA = (
    "filmtrust",
    "ml-100k",
    "ml-latest-small",
    "lastfm-hetrec",
    "ml-1m",
    "citeulike-a",
    "amazon-beauty",
    "amazon-toys",
    "yelp-herec",
    "douban-book-metahin",
    "gowalla",
    "amazon-book-kgat",
)
FAILED, INTERRUPTED = 1, 130


class BenchmarkSettings(BaseModel):
    """Which cells to compute; the model itself has its default configuration everywhere."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: tuple[str, ...] = Field(DATA, min_length=1, description="named data sets, in this order")
    data_root: Path | None = Field(
        None, description="folder of local data sets; else the variable GRAPHMETA_DATA_ROOT"
    )
    seeds: tuple[NotNegative, ...] = Field((0, 1, 2), min_length=1, description="split seeds")
    methods: tuple[str, ...] | None = Field(
        None, min_length=1, description="methods to run; by default all of the cold-start run"
    )
    workers: Count | None = Field(
        None, description="processes at work side by side; by default one per core, at most four"
    )
    device: Literal["cpu", "cuda"] = Field("cpu", description="where the encoder trains")
    quick: bool = Field(False, description="smoke run: small grids, two epochs of one pass")

    @model_validator(mode="after")
    def _is_known(self) -> Self:
        known = [entry.name for entry in named_sets()]
        for name in self.data:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
                raise ValueError(f"there is no data set {name!r}; {hint}")
        for field in ("data", "seeds", "methods"):
            values = getattr(self, field) or ()
            if len(set(values)) < len(values):
                raise ValueError(f"{field} names a value twice; give each once")
        choose_methods(self.methods)
        return self


def main(argv: list[str] | None = None) -> int:
    """Run what is not finished, write the report and return the exit code.

    0 is success, 1 a run that failed its own checks, 2 bad input or an unwritable folder, 130
    an interruption. Every failure is one line on standard error.
    """
    words, began = Console(stderr=True), list[RunFolder]()
    try:
        line = parse_command_line(BenchmarkSettings, argv, program=PROGRAM, purpose=PURPOSE)
        settings = _settings(line)
        for name in settings.data:
            local_folder(name, settings.data_root)  # Told now, not hours later.
        folder = open_folder(line, settings, program=PROGRAM)
        began.append(folder)
        failures = run(settings, folder, console=Console(), words=words)
    except KeyboardInterrupt:
        place = shlex.quote(str(began[0].path)) if began else "FOLDER"
        say(words, f"interrupted; continue with: {PROGRAM} --resume {place}")
        return INTERRUPTED
    except GraphMetaError as error:
        say(words, f"error: {' '.join(str(error).split())}")
        return exit_code(error)
    say(words, f"the run is in {folder.path}")
    return FAILED if failures else 0


def run(
    settings: BenchmarkSettings, folder: RunFolder, *, console: Console, words: Console
) -> list[str]:
    """Compute the cells that are not there yet, one data set after the other, and report.

    Each data set has a cold-start run of its own in the folder, so that one can be looked at,
    continued or taken out alone. The report is written anew after each of them.

    Returns:
        The data sets whose figures failed their own checks; theirs are in the report as well.

    Raises:
        GraphMetaError: A cell fails, or a file cannot be written.
    """
    failures = []
    for name in settings.data:
        say(words, f"== {name}")
        rows = BenchmarkRows(folder, name)
        given: dict[str, Any] = {"data": name, "seeds": settings.seeds}
        given |= {"device": settings.device, "quick": settings.quick}
        given["methods"] = tuple(method.name for method in choose_methods(settings.methods))
        for field in ("data_root", "workers"):
            if getattr(settings, field) is not None:
                given[field] = getattr(settings, field)
        try:
            run_cold_start(
                given,
                folder.path / name,
                command=f"{PROGRAM} --data {name}",
                console=console,
                words=words,
                began=[],
                is_resumed=(folder.path / name / CONFIG).is_file(),
                on_cell=rows.add,
            )
        except ProtocolError as error:
            failures.append(name)
            say(words, f"error: {error}")
        rows.write()
        write_benchmark(folder)
    return failures


def _settings(line: CommandLine) -> BenchmarkSettings:
    """Return the settings of a new run, or of one that goes on, perhaps with other cells."""
    given = {} if line.config is None else read_toml(line.config)
    if line.resume and line.out is not None:
        given = {**read_toml(RunFolder.reopen(line.out).path / CONFIG), **given}
    return validated(BenchmarkSettings, {**given, **line.overrides})


if __name__ == "__main__":
    sys.exit(main())
