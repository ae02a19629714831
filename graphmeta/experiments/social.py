"""What does it help to know a new user's friends?

Run it with `python -m graphmeta.experiments.social --data-root FOLDER`: new users of lastfm-hetrec
and filmtrust come with their links to training users. `--help` lists the options.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Self

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, model_validator
from rich.console import Console
from torch_geometric.data import HeteroData

from graphmeta.data import ColdSplit, ColdUsers, load_named, split_cold_users
from graphmeta.experiments.contrasts import SHOWN
from graphmeta.experiments.methods import Tunable
from graphmeta.experiments.run_folder import RunFolder
from graphmeta.experiments.sessions import session_lines
from graphmeta.experiments.settings import DEFAULT_K, Count, NotNegative
from graphmeta.experiments.social_report import social_report
from graphmeta.experiments.trained_cells import (
    finished_frame,
    grid_main,
    open_cells,
    refuse_unknown,
    write_cell,
)
from graphmeta.ranking import ColdStartRecommender, baselines, evaluate
from graphmeta.ranking.tuning import tune

PROGRAM = "python -m graphmeta.experiments.social"
PURPOSE = "Rank for new users whose friends are known."
GRID = ("data", "methods", "seeds", "data_root")


class SocialSettings(BaseModel):
    """Everything that decides the result."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: tuple[str, ...] = Field(
        ("lastfm-hetrec", "filmtrust"), min_length=1, description="data sets with social links"
    )
    data_root: Path | None = Field(
        None, description="folder of local data sets; else the variable GRAPHMETA_DATA_ROOT"
    )
    methods: tuple[str, ...] = Field((), description="methods to compare; all by default")
    seeds: tuple[NotNegative, ...] = Field((0, 1, 2), min_length=1, description="split seeds")
    k: tuple[NotNegative, ...] = Field(DEFAULT_K, min_length=1, description="support sizes")
    epochs: Count = Field(8, description="most epochs of training")

    @model_validator(mode="after")
    def _is_known(self) -> Self:
        refuse_unknown(self, methods=tuple(METHODS))
        return self


# Fits on a split, and returns the figures of its test users at some support sizes.
Rank = Callable[[ColdSplit, list[int], SocialSettings], pd.DataFrame]


def _tuned(
    kind: type[Tunable], split: ColdSplit, sizes: list[int], settings: SocialSettings
) -> pd.DataFrame:
    """Tune a baseline for each k, k = 0 like others: the links may tell it something."""
    parts = []
    for alike in ([size for size in sizes if size], [size for size in sizes if not size]):
        if alike:
            tuned = tune(
                kind.search_space(), split.train, split.validation, k=alike, seed=split.seed
            )
            parts.append(evaluate(tuned, split.test, k=alike, seed=split.seed).per_user)
    return pd.concat(parts, ignore_index=True)


def _recommender(split: ColdSplit, sizes: list[int], settings: SocialSettings) -> pd.DataFrame:
    model = ColdStartRecommender(epochs=settings.epochs, seed=split.seed)
    model.fit(split.train, split.validation)
    return evaluate(model, split.test, k=sizes, seed=split.seed).per_user


# Whether a method is given the links, and how it ranks.
METHODS: Mapping[str, tuple[bool, Rank]] = {
    "popularity": (False, partial(_tuned, baselines.Popularity)),
    "user-knn": (False, partial(_tuned, baselines.UserKNN)),
    "rm1": (False, partial(_tuned, baselines.RM1)),
    "graphmeta": (False, _recommender),
    "friend-popularity": (True, partial(_tuned, baselines.FriendPopularity)),
    "social-knn": (True, partial(_tuned, baselines.SocialKNN)),
    "graphmeta-with-links": (True, _recommender),
}


def main(argv: list[str] | None = None) -> int:
    """Run what is not finished, write the report and return the exit code, 2 for bad input."""
    return grid_main(SocialSettings, argv, program=PROGRAM, purpose=PURPOSE, grid=GRID, run=run)


def run(
    folder: RunFolder,
    settings: SocialSettings,
    graphs: Mapping[str, HeteroData],
    words: Console,
) -> None:
    """Compute the cells that are not there yet, then the report from all that are.

    Raises:
        GraphMetaError: A cell fails, or a file cannot be written.
    """
    for name, graph in graphs.items():
        linked = load_named(name, data_root=settings.data_root, links=True)
        for seed in settings.seeds:
            splits = [split_cold_users(known, seed=seed) for known in (graph, linked)]
            methods = settings.methods or tuple(METHODS)
            for method, place in open_cells(folder, name, seed, methods, words):
                write_cell(folder, place, partial(_figures, method, splits, settings))
    write_report(folder)


def _figures(method: str, splits: list[ColdSplit], settings: SocialSettings) -> pd.DataFrame:
    """Return a method's figures; the splits are without links and with them."""
    has_links, rank = METHODS[method]
    sizes = [size for size in settings.k if size <= splits[0].k_max]
    found = rank(splits[has_links], sizes, settings)[["user", "k", SHOWN]]
    return found.assign(n_links=found["user"].map(_n_links(splits[1].test)))


def _n_links(users: ColdUsers) -> dict[Any, int]:
    """Return how many training users each user is linked to."""
    links = users.first.links
    counts = [0] * len(users) if links is None else (links >= 0).sum(1).tolist()
    return dict(zip(users.user_ids.ids.tolist(), counts, strict=True))


def write_report(folder: RunFolder) -> None:
    """Write `report.md` from all cells that are there.

    Raises:
        OutputError: It cannot be written.
    """
    per_user = finished_frame(folder, tuple(METHODS))
    folder.write_text("report.md", social_report(per_user, session_lines(folder)))


if __name__ == "__main__":
    sys.exit(main())
