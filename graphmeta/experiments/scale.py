"""What stores, sampling, training and ranking cost as interactions and catalogues grow.

Run it with `python -m graphmeta.experiments.scale`; `--resume FOLDER` continues a run. From a
million interactions to a hundred million they are drawn, written and read under the run's folder,
which takes 5 GB.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from graphmeta.errors import GraphMetaError
from graphmeta.experiments import scale_ranking, scale_sampling, scale_training
from graphmeta.experiments.manifest import environment, now
from graphmeta.experiments.run_folder import MANIFEST, RunFolder
from graphmeta.experiments.scale_ingest import measure_ingest
from graphmeta.experiments.scale_report import report
from graphmeta.tasks.sampled_items import N_DRAWS

PROGRAM = "graphmeta.experiments.scale"


@dataclass(frozen=True)
class Size:
    """How large a graph is.

    Args:
        edges: Interactions that are drawn.
        users: Users they are drawn from.
        items: Items they are drawn from.
    """

    edges: int
    users: int
    items: int

    @property
    def name(self) -> str:
        """What files and rows call it."""
        return f"{self.edges}-edges"


def sizes(is_small: bool) -> list[Size]:
    """Return the sizes, twenty interactions for each user."""
    edges = (20_000, 60_000, 200_000) if is_small else (10**6, 10**7, 3 * 10**7, 10**8)
    return [Size(n, n // 20, max(1000, n // 200)) for n in edges]


def main(argv: list[str] | None = None) -> int:
    """Measure what is not measured yet, write the report and return the exit code."""
    parser = argparse.ArgumentParser(prog=f"python -m {PROGRAM}", allow_abbrev=False)
    parser.add_argument("--small", action="store_true", help="a smoke run in seconds")
    parser.add_argument("--out", type=Path, metavar="DIR", help="run folder, new or empty")
    parser.add_argument("--resume", type=Path, metavar="DIR", help="continue the run in DIR")
    typed = parser.parse_args(argv)
    try:
        run(typed.out, typed.resume, typed.small)
    except GraphMetaError as error:
        Console(stderr=True).print(f"error: {error}", markup=False, soft_wrap=True)
        return 2
    return 0


def run(out: Path | None, resume: Path | None, is_small: bool) -> None:
    """Measure and report; see `main`."""
    if resume is not None:
        folder = RunFolder.reopen(resume)
        is_small = bool(folder.read_json(MANIFEST)["small"])
    else:
        path = out or Path("runs") / f"scale-{now().replace(':', '')}"
        manifest = {"program": PROGRAM, "small": is_small, "begun": now(), **environment()}
        folder = RunFolder.create(
            path, config=f"small = {str(is_small).lower()}\n", manifest=manifest
        )
    console = Console()
    chosen = sizes(is_small)
    for size in chosen:
        of_size = partial(
            measure_ingest, folder.path, size.name, size.edges, size.users, size.items
        )
        _measured(folder, f"ingest-{size.name}", of_size, console)
    stores = {size.edges: folder.path / "stores" / size.name for size in chosen}
    rounds = 3 if is_small else 40
    _measured(folder, "sampling", partial(scale_sampling.measure, stores, rounds), console)
    training = partial(
        scale_training.measure,
        stores,
        epochs=3 if is_small else 5,
        steps=2 if is_small else 20,
        draws=256 if is_small else N_DRAWS,
    )
    _measured(folder, "training", training, console)
    catalogues = (500, 1000) if is_small else (10_000, 100_000, 1_000_000)
    _measured(folder, "ranking", partial(scale_ranking.measure, catalogues, 4 * rounds), console)
    found = {
        "ingest": [folder.read_json(f"ingest-{size.name}.json") for size in chosen],
        "sampling": folder.read_json("sampling.json"),
        "training": folder.read_json("training.json"),
        "ranking": folder.read_json("ranking.json"),
    }
    text = report(found, folder.read_json(MANIFEST))
    folder.write_text("report.md", text)
    console.print(text, markup=False)


def _measured(folder: RunFolder, name: str, measure: Any, console: Console) -> None:
    if folder.read_json(f"{name}.json") is None:
        console.print(f"== {name}", markup=False)
        folder.write_json(f"{name}.json", measure())


if __name__ == "__main__":
    sys.exit(main())
