"""Finds the recommender's settings for a table of interactions, on validation users.

Run it with `python -m graphmeta.experiments.tune --interactions ratings.csv --out runs/tune`. The
study lies in the folder as an SQLite file, so that the same command goes on where it stopped. Test
users are not looked at.

With `--workers N` N trials run side by side, in processes of Ray, on a cluster if `RAY_ADDRESS`
names one (`side_by_side`). Optuna chooses N at a time and hears of them in their order, so that
what it chooses next does not hang on which was ready first.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console

from graphmeta.cluster import side_by_side
from graphmeta.data import ColdSplit
from graphmeta.data.whole_file import write_whole
from graphmeta.errors import ConfigError, GraphMetaError, MissingExtraError, OutputError
from graphmeta.experiments.run_data import RunData, load_run_data
from graphmeta.experiments.settings import ColdStartSettings
from graphmeta.ranking import ColdStartRecommender

if TYPE_CHECKING:
    import optuna

# What is searched, each with its choices; the defaults are among them.
CHOICES: dict[str, Sequence[int | float | str]] = {
    "channels": (16, 32, 64, 128),
    "batch_size": (32, 64, 128, 256),
    "lr": (1e-3, 2e-3, 3e-3, 5e-3, 1e-2),
    "min_steps": (1, 50, 100, 200),
    "adapted_share": (0.0, 0.25, 0.5, 0.75, 1.0),
    "item_start": ("by size", "random", "spectral"),
}
STUDY, BEST = "study.db", "best.json"


def main(argv: list[str] | None = None) -> int:
    """Search, print the best settings and return the exit code: 2 where that cannot be done."""
    parser = argparse.ArgumentParser(
        prog="python -m graphmeta.experiments.tune", allow_abbrev=False
    )
    parser.add_argument("--interactions", help="a Parquet or CSV file of interactions")
    for name, what in (("user", "user ids"), ("item", "item ids"), ("time", "times")):
        parser.add_argument(f"--{name}-col", help=f"its column with {what}")
    parser.add_argument("--rating-col", help="its column with ratings")
    parser.add_argument("--min-rating", type=float, help="drop lower ratings")
    parser.add_argument("--data", help="a named data set instead of a file")
    parser.add_argument("--data-root", help="the folder of data sets that are not shipped")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="splits")
    parser.add_argument("--trials", type=int, default=30, help="trials in all, earlier ones too")
    parser.add_argument("--epochs", type=int, default=20, help="most epochs of a trial")
    parser.add_argument("--workers", type=int, default=0, help="trials at a time, with Ray")
    parser.add_argument("--out", type=Path, default=Path("runs/tune"), help="folder of the study")
    typed = vars(parser.parse_args(argv))
    console = Console()
    out, trials, epochs = typed.pop("out"), typed.pop("trials"), typed.pop("epochs")
    workers = typed.pop("workers")
    try:
        if trials < 1 or workers < 0:
            raise ConfigError(
                f"--trials {trials} must be at least 1 and --workers {workers} 0 or more"
            )
        given = {name: value for name, value in typed.items() if value is not None}
        data = load_run_data(ColdStartSettings(**{**given, "seeds": tuple(given["seeds"])}))
        study = _study(out, data, epochs)
        with side_by_side(_figure, data.splits, epochs, workers=workers) as figures_of:
            _search(study, figures_of, trials, max(1, workers), console)
        settings = _settings(study.best_params)
        best = {"settings": settings, "validation ndcg@10": study.best_value}
        write_whole(out / BEST, lambda path: path.write_text(json.dumps(best, indent=1) + "\n"))
    except GraphMetaError as error:
        Console(stderr=True).print(f"error: {error}", markup=False, soft_wrap=True)
        return 2
    words = ", ".join(f"{name}={value!r}" for name, value in settings.items())
    console.print(
        f"NDCG@10 of validation users: {study.best_value:.4f}, {_default_figure(study):.4f} by the "
        "defaults\n"
        f"ColdStartRecommender({words})",
        markup=False,
        soft_wrap=True,
    )
    return 0


def _study(out: Path, data: RunData, epochs: int) -> optuna.Study:
    """Return the folder's study, new or as it was left.

    Raises:
        MissingExtraError: Optuna is not installed.
        ConfigError: The study in the folder is of other data or settings.
        OutputError: The folder cannot be written.
    """
    try:
        import optuna
    except ImportError as error:
        raise MissingExtraError("tuning needs optuna; pip install 'graphmeta[tune]'") from error
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {out}: {error.strerror}") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        storage=f"sqlite:///{out / STUDY}",
        study_name="graphmeta",
        direction="maximize",
        load_if_exists=True,
    )
    # Another seed for each part of a study, or every part would begin with the same random trials.
    study.sampler = optuna.samplers.TPESampler(seed=len(study.trials))
    made_of = {"data": data.fingerprint, "seeds": list(data.settings.seeds or ()), "epochs": epochs}
    if study.user_attrs.get("made of", made_of) != made_of:
        raise ConfigError(
            f"the study in {out} is of other interactions, seeds or epochs; choose another --out"
        )
    study.set_user_attr("made of", made_of)
    if _default_figure(study) is None:
        study.enqueue_trial(_defaults())
    return study


def _search(
    study: optuna.Study,
    figures_of: Callable[[Sequence[dict[str, Any]]], list[float]],
    n_trials: int,
    n_at_once: int,
    console: Console,
) -> None:
    """Try settings until the study has so many trials."""
    n_left = n_trials - sum(trial.value is not None for trial in study.trials)
    while n_left > 0:
        trials = [study.ask() for _ in range(min(n_at_once, n_left))]
        chosen = [
            {name: trial.suggest_categorical(name, kind) for name, kind in CHOICES.items()}
            for trial in trials
        ]
        for trial, settings, figure in zip(trials, chosen, figures_of(chosen), strict=True):
            study.tell(trial, figure)
            console.print(f"{trial.number}: {figure:.4f} {settings}", markup=False, soft_wrap=True)
        n_left -= len(trials)


def _figure(splits: Sequence[ColdSplit], epochs: int, chosen: dict[str, Any]) -> float:
    """Return the mean NDCG@10 of the splits' validation users."""
    figures = []
    for split in splits:
        model = ColdStartRecommender(**_settings(chosen), epochs=epochs, seed=split.seed)
        model.fit(split.train, split.validation)
        figures.append(max(model.validation_scores))
    return float(np.mean(figures))


def _settings(chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments of the recommender."""
    start = chosen["item_start"]
    return {**chosen, "item_start": None if start == "by size" else start}


def _default_figure(study: optuna.Study) -> float | None:
    """Return the figure of the default settings, None where they were not tried to the end."""
    figures = [trial.value for trial in study.trials if trial.params == _defaults()]
    return next((figure for figure in figures if figure is not None), None)


def _defaults() -> dict[str, Any]:
    params = ColdStartRecommender().get_params()
    return {n: "by size" if params[n] is None else params[n] for n in CHOICES}


if __name__ == "__main__":
    sys.exit(main())
