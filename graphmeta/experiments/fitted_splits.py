"""The default recommender on splits of a data set, for experiments that ask more of it."""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rich.console import Console

from graphmeta.data import ColdSplit
from graphmeta.data.whole_file import write_whole
from graphmeta.errors import GraphMetaError
from graphmeta.experiments.manifest import environment, now
from graphmeta.experiments.run_data import RunData, load_run_data
from graphmeta.experiments.settings import ColdStartSettings
from graphmeta.ranking import ColdStartRecommender


def split_options(program: str) -> argparse.ArgumentParser:
    """Return a parser with the options that `fitted_splits` and `run_report` read.

    Args:
        program: The module, as in `python -m`.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {program}", allow_abbrev=False)
    parser.add_argument("--data", help="a named data set; by default ratings of a PyPI package")
    parser.add_argument("--data-root", help="the folder of data sets that are not shipped")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="splits")
    parser.add_argument("--epochs", type=int, default=20, help="most epochs of training")
    parser.add_argument("--models", type=Path, help="keep fitted models in this folder, use them")
    parser.add_argument("--out", type=Path, help="write the report to this Markdown file")
    return parser


def fitted_splits(
    typed: argparse.Namespace, *, random_share: float = 0.0
) -> Iterator[tuple[ColdSplit, ColdStartRecommender]]:
    """Yield each split, and a recommender that was fitted on it, now or for `--models` earlier.

    Args:
        typed: What was read by a parser of `split_options`.
        random_share: As of the recommender.
    """
    data = run_data_of(typed)
    for split in data.splits:
        model = ColdStartRecommender(
            random_share=random_share, epochs=typed.epochs, seed=split.seed
        )
        if typed.models is None:
            yield split, model.fit(split.train, split.validation)
        else:
            yield split, _kept(model, split, data, typed.models)


def run_data_of(typed: argparse.Namespace) -> RunData:
    """Return the data and the splits that a parser of `split_options` read of."""
    given = {"data": typed.data, "data_root": typed.data_root, "seeds": tuple(typed.seeds)}
    return load_run_data(ColdStartSettings(**{n: v for n, v in given.items() if v is not None}))


def _kept(
    model: ColdStartRecommender, split: ColdSplit, data: RunData, folder: Path
) -> ColdStartRecommender:
    """Return the fitted model that the folder holds, or fit it there."""
    # Not the commit: a folder is for one piece of work, and who changes the model takes a new one.
    about = [data.fingerprint, model.epochs, model.random_share]
    digest = hashlib.sha256(repr(about).encode()).hexdigest()[:12]
    path = folder / f"{data.settings.data or 'default'}-{split.seed}-{digest}.gm"
    if path.exists():
        return ColdStartRecommender.load(path)
    folder.mkdir(parents=True, exist_ok=True)
    training = path.with_suffix(".training")
    model.fit(split.train, split.validation, checkpoint=training)
    model.save(path)
    training.unlink(missing_ok=True)
    return model


def run_report(typed: argparse.Namespace, report: Callable[[], str]) -> int:
    """Print a report, write it where asked; return the exit code, 2 where it cannot be made."""
    try:
        text = report()
        Console().print(text, markup=False, soft_wrap=True)
        if typed.out is not None:
            write_whole(typed.out, lambda path: path.write_text(text + "\n"))
    except GraphMetaError as error:
        Console(stderr=True).print(f"error: {error}", markup=False, soft_wrap=True)
        return 2
    return 0


def made_by(program: str, argv: Sequence[str] | None) -> str:
    """Return the line of a report that says how, when and where it was made."""
    words = sys.argv[1:] if argv is None else argv
    about = environment()
    machine = about["machine"]
    command = " ".join([f"python -m {program}", *words])
    parts = [f"`{command}`", now(), f"commit {about['commit']}", machine["cpu"], machine["gpu"]]
    return ", ".join(part for part in parts if part)
