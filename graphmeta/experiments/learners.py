"""Does adapting pay? Every learner on every encoder, adapted against unadapted, by user.

Run it with `python -m graphmeta.experiments.learners`; `--help` lists the options.
"""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, model_validator
from rich.console import Console
from torch_geometric.data import HeteroData

from graphmeta.data import ColdSplit, audit_split, load_named, named_sets, split_cold_users
from graphmeta.data.named_sets import DEFAULT
from graphmeta.data.split import history_size
from graphmeta.errors import ConfigError, GraphMetaError
from graphmeta.experiments.command_line import CommandLine, parse_command_line
from graphmeta.experiments.contrasts import SHOWN
from graphmeta.experiments.learner_report import learner_report
from graphmeta.experiments.named_encoders import ENCODERS
from graphmeta.experiments.named_learners import LEARNERS, build_learner
from graphmeta.experiments.run_folder import CONFIG, RunFolder
from graphmeta.experiments.sessions import open_folder, session_lines
from graphmeta.experiments.settings import (
    Count,
    NotNegative,
    read_toml,
    validated,
)
from graphmeta.ranking import ColdStartRecommender, evaluate

PROGRAM = "python -m graphmeta.experiments.learners"
PURPOSE = "Compare learners on encoders: adapted against unadapted, on users never seen."
# What a run that goes on may change: which cells are computed.
GRID = ("data", "learners", "encoders", "seeds", "data_root")


class LearnersSettings(BaseModel):
    """Everything that decides the result."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: tuple[str, ...] = Field((DEFAULT,), min_length=1, description="named data sets")
    data_root: Path | None = Field(
        None, description="folder of local data sets; else the variable GRAPHMETA_DATA_ROOT"
    )
    learners: tuple[str, ...] = Field(LEARNERS, min_length=1, description="learners to compare")
    encoders: tuple[str, ...] = Field(("relation",), min_length=1, description="encoders")
    seeds: tuple[NotNegative, ...] = Field((0, 1, 2), min_length=1, description="split seeds")
    k: tuple[Count, ...] = Field((1, 3, 5), min_length=1, description="support sizes")
    epochs: Count = Field(4, description="passes over the training users; the best one counts")
    channels: Count = Field(64, description="width of the embeddings")
    batch_size: Count = Field(64, description="users per outer step")
    lr: float = Field(3e-3, gt=0, allow_inf_nan=False, description="step size")

    @model_validator(mode="after")
    def _is_known(self) -> Self:
        sets = tuple(entry.name for entry in named_sets())
        for name, known in (("data", sets), ("learners", LEARNERS), ("encoders", tuple(ENCODERS))):
            for value in getattr(self, name):
                if value not in known:
                    raise ValueError(f"there is no {value!r}; known {name}: {', '.join(known)}")
        return self


def main(argv: list[str] | None = None) -> int:
    """Run what is not finished, write the report and return the exit code, 2 for bad input."""
    words, began = Console(stderr=True), list[Path]()
    try:
        line = parse_command_line(LearnersSettings, argv, program=PROGRAM, purpose=PURPOSE)
        settings = _settings(line)
        graphs = load_graphs(settings)
        folder = open_folder(line, settings, program=PROGRAM)
        began.append(folder.path)
        run(folder, settings, graphs, words)
    except KeyboardInterrupt:
        place = shlex.quote(str(began[0])) if began else "FOLDER"
        words.print(f"interrupted; continue with: {PROGRAM} --resume {place}", markup=False)
        return 130
    except GraphMetaError as error:
        words.print(f"error: {error}", markup=False, soft_wrap=True)
        return 2
    return 0


def load_graphs(settings: LearnersSettings) -> dict[str, HeteroData]:
    """Return the data sets by name.

    Raises:
        DataNotFoundError: A data set is not there.
        ConfigError: No support size is one that its splits hold.
    """
    graphs = {name: load_named(name, data_root=settings.data_root) for name in settings.data}
    for name, graph in graphs.items():
        largest = history_size(graph, None)
        if min(settings.k) > largest:
            raise ConfigError(
                f"k={min(settings.k)} is above {largest}, the largest support of {name!r}; "
                "lower --k"
            )
    return graphs


def run(
    folder: RunFolder,
    settings: LearnersSettings,
    graphs: Mapping[str, HeteroData],
    words: Console,
) -> None:
    """Compute the cells that are not there yet, then the report from all that are.

    Raises:
        GraphMetaError: A cell fails, or a file cannot be written.
    """
    for data, graph in graphs.items():
        for seed in settings.seeds:
            split = None
            for encoder in settings.encoders:
                for learner in settings.learners:
                    place = _place(data, encoder, learner, seed)
                    if folder.read_json(f"{place}.json") is not None:
                        continue
                    if split is None:
                        split = split_cold_users(graph, seed=seed)
                        audit_split(split)
                    words.print(f"{data}, seed {seed}: {learner} on {encoder}", markup=False)
                    _compute(folder, place, split, settings, encoder, learner)
                    write_report(folder)
    write_report(folder)


def write_report(folder: RunFolder) -> None:
    """Write `report.md` from all cells that are there, whichever command computed them.

    Raises:
        OutputError: It cannot be written.
    """
    names = ("data", "encoder", "learner")
    order = [[entry.name for entry in named_sets()], [*ENCODERS], [*LEARNERS]]
    frames, seconds = [], []
    for file in sorted(
        folder.path.glob("cells/*/*/*/seed-*.json"),
        key=lambda file: [
            known.index(part) for known, part in zip(order, file.parts[-4:-1], strict=True)
        ],
    ):
        labels: dict[str, Any] = dict(zip(names, file.parts[-4:-1], strict=True))
        labels["seed"] = int(file.stem.removeprefix("seed-"))
        frames.append(pd.read_parquet(file.with_suffix(".parquet")).assign(**labels))
        cell = folder.read_json(str(file.relative_to(folder.path)))
        seconds.append({**labels, "seconds": cell["seconds"]})
    report = learner_report(
        pd.concat(frames, ignore_index=True),
        pd.DataFrame(seconds),
        session_lines(folder),
    )
    folder.write_text("report.md", report)


def _compute(
    folder: RunFolder,
    place: str,
    split: ColdSplit,
    settings: LearnersSettings,
    encoder: str,
    learner: str,
) -> None:
    start = time.perf_counter()
    model = ColdStartRecommender(
        build_learner(learner, encoder, split.train, channels=settings.channels, seed=split.seed),
        channels=settings.channels,
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        lr=settings.lr,
        seed=split.seed,
    ).fit(split.train, split.validation)
    sizes = [k for k in settings.k if k <= split.k_max]
    parts = []
    for name, scorer in (("adapted", model.adapted()), ("unadapted", model.unadapted())):
        found = evaluate(scorer, split.test, k=sizes, seed=split.seed).per_user
        parts.append(found[["user", "k", SHOWN]].assign(scorer=name))
    folder.write_frame(f"{place}.parquet", pd.concat(parts, ignore_index=True))
    cell: dict[str, Any] = {"seconds": round(time.perf_counter() - start, 1)}
    cell |= {"losses": model.losses, "validation": model.validation_scores}
    folder.write_json(f"{place}.json", cell)  # Marks the cell as finished: it comes last.


def _place(data: str, encoder: str, learner: str, seed: int) -> str:
    return f"cells/{data}/{encoder}/{learner}/seed-{seed}"


def _settings(line: CommandLine) -> LearnersSettings:
    """Return the settings of a new run, or of one that goes on, perhaps with other cells."""
    if not (line.resume and line.out is not None):
        given = {} if line.config is None else read_toml(line.config)
        return validated(LearnersSettings, {**given, **line.overrides})
    fixed = [name for name in line.overrides if name not in GRID]
    if fixed or line.config is not None:
        what = ", ".join(fixed) or "configuration"
        raise ConfigError(f"a run that is continued keeps its {what}; leave it out")
    held = read_toml(RunFolder.reopen(line.out).path / CONFIG)
    return validated(LearnersSettings, {**held, **line.overrides})


if __name__ == "__main__":
    sys.exit(main())
