"""Published protocols that put a user's rated items in order, with chance beside every figure.

Run it with `python -m graphmeta.experiments.rerating --data-root FOLDER`; `--help` lists the
options. It is re-rating, not recommendation: see `graphmeta.ranking.rerating`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Self

import pandas as pd
import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from rich.console import Console
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data import (
    RatedSplit,
    Support,
    load_edge_column,
    split_rated_parts,
    split_rated_users,
)
from graphmeta.data.rated_split import N_QUERY, TASK_SIZES
from graphmeta.experiments.liked_recommender import LikedRecommender
from graphmeta.experiments.methods import Tunable
from graphmeta.experiments.rerating_report import rerating_report
from graphmeta.experiments.run_folder import RunFolder
from graphmeta.experiments.sessions import session_lines
from graphmeta.experiments.settings import Count, NotNegative
from graphmeta.experiments.trained_cells import (
    finished_frame,
    grid_main,
    open_cells,
    refuse_unknown,
    write_cell,
)
from graphmeta.ranking import Scorer, baselines
from graphmeta.ranking.rerating import rerate
from graphmeta.ranking.search_space import SearchSpace
from graphmeta.ranking.tuning import search

PROGRAM = "python -m graphmeta.experiments.rerating"
PURPOSE = "Put the rated items of new users in order, by the protocols of published tables."
GRID = ("protocols", "methods", "seeds", "data_root")


@dataclass(frozen=True)
class Protocol:
    """What a published table judges by.

    Args:
        data: The data set.
        metric: The column of `rerate` that methods are tuned and compared by.
        is_large: Meta-learners take a fifth of the epochs, and of their axes only when to stop is
            tuned: a search of their step sizes would take hours.
        parts: Column of the data's own parts, the first of which is for training; None for a
            split of the users.
    """

    data: str
    metric: str
    is_large: bool = False
    parts: tuple[str, str] | None = None

    def split(self, graph: HeteroData, *, seed: int, data_root: Path | None) -> RatedSplit:
        """Return the graph's users as the protocol has them."""
        if self.parts is None:
            return split_rated_users(graph, seed=seed)
        column, training = self.parts
        part = load_edge_column(graph, self.data, column, data_root=data_root).to_numpy()
        return split_rated_parts(graph, part, training=training, seed=seed)


_METAHIN = ("metahin_split", "meta_training")
PROTOCOLS: Mapping[str, Protocol] = {
    "metarec-ml-100k": Protocol("ml-100k", "better-half-ndcg@5"),
    "metahin-ml-1m": Protocol("ml-1m", "ndcg@5", True, _METAHIN),
    "metahin-douban-book": Protocol("douban-book-metahin", "ndcg@5", True, _METAHIN),
}


class ReratingSettings(BaseModel):
    """Everything that decides the result."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    protocols: tuple[str, ...] = Field(
        tuple(PROTOCOLS), min_length=1, description="published protocols"
    )
    data_root: Path | None = Field(
        None, description="folder of local data sets; else the variable GRAPHMETA_DATA_ROOT"
    )
    methods: tuple[str, ...] = Field((), description="methods to compare; all by default")
    seeds: tuple[NotNegative, ...] = Field((0, 1, 2), min_length=1, description="split seeds")
    epochs: Count = Field(30, description="epochs of meta-learners on the smallest set")
    recommender_epochs: Count = Field(8, description="epochs of the recommender")

    @model_validator(mode="after")
    def _is_known(self) -> Self:
        refuse_unknown(self, protocols=tuple(PROTOCOLS), methods=tuple(METHODS))
        return self

    @property
    def data(self) -> tuple[str, ...]:
        """The data sets of the protocols, each once."""
        return tuple(dict.fromkeys(PROTOCOLS[name].data for name in self.protocols))


# Fits and tunes on a split.
Fit = Callable[[RatedSplit, Protocol, ReratingSettings], Scorer]


class _Chance:
    """Scores all items alike: what `rerate` makes of it is what chance gives."""

    def fit(self, train: HeteroData) -> Self:
        self._num_items = int(train["item"].num_nodes)
        return self

    def score(self, support: Support) -> Tensor:
        return torch.zeros(len(support), self._num_items)


def _chance(split: RatedSplit, protocol: Protocol, settings: ReratingSettings) -> Scorer:
    return _Chance().fit(split.train)


def _searched(space: SearchSpace, split: RatedSplit, protocol: Protocol) -> Scorer:
    """Return the configuration that orders the validation users' items best."""

    def judge(scorer: Scorer, size: int) -> float:
        return float(rerate(scorer, split.validation)[protocol.metric].mean())

    return search(space, split.train, judge, k=(1,), metric=protocol.metric)


def _tuned(
    kind: type[Tunable], split: RatedSplit, protocol: Protocol, settings: ReratingSettings
) -> Scorer:
    return _searched(kind.search_space(), split, protocol)


def _meta_learner(
    kind: type[baselines.MeLU | baselines.TaNP | baselines.MAMO],
    split: RatedSplit,
    protocol: Protocol,
    settings: ReratingSettings,
) -> Scorer:
    build = partial(
        kind,
        labels="ratings",
        k_max=TASK_SIZES[1] - N_QUERY,
        query_size=N_QUERY,
        num_epochs=max(1, settings.epochs // 5) if protocol.is_large else settings.epochs,
        seed=split.seed,
    )
    space = replace(kind.search_space(), build=build)
    if protocol.is_large:
        space = replace(space, fit_time={})
    return _searched(space, split, protocol)


def _recommender(split: RatedSplit, protocol: Protocol, settings: ReratingSettings) -> Scorer:
    model = LikedRecommender(epochs=settings.recommender_epochs, seed=split.seed)
    return model.fit(split.train)


METHODS: Mapping[str, Fit] = {
    "chance": _chance,
    "item-mean": partial(_tuned, baselines.ItemMean),
    "recommender-of-likes": _recommender,
    "melu": partial(_meta_learner, baselines.MeLU),
    "tanp": partial(_meta_learner, baselines.TaNP),
    "mamo": partial(_meta_learner, baselines.MAMO),
    "rating-ridge": partial(_tuned, baselines.RatingRidge),
}


def main(argv: list[str] | None = None) -> int:
    """Run what is not finished, write the report and return the exit code, 2 for bad input."""
    return grid_main(ReratingSettings, argv, program=PROGRAM, purpose=PURPOSE, grid=GRID, run=run)


def run(
    folder: RunFolder,
    settings: ReratingSettings,
    graphs: Mapping[str, HeteroData],
    words: Console,
) -> None:
    """Compute the cells that are not there yet, then the report from all that are.

    Raises:
        GraphMetaError: A cell fails, or a file cannot be written.
    """
    for name in settings.protocols:
        protocol = PROTOCOLS[name]
        for seed in settings.seeds:
            split = protocol.split(graphs[protocol.data], seed=seed, data_root=settings.data_root)
            methods = settings.methods or tuple(METHODS)
            for method, place in open_cells(folder, name, seed, methods, words):
                fit = partial(METHODS[method], split, protocol, settings)
                write_cell(folder, place, partial(_figures, fit, split))
    write_report(folder)


def _figures(fit: Callable[[], Scorer], split: RatedSplit) -> pd.DataFrame:
    scorer = fit()
    found = [rerate(scorer, users).assign(part=part) for part, users in split.test.items()]
    return pd.concat(found, ignore_index=True)


def write_report(folder: RunFolder) -> None:
    """Write `report.md` from all cells that are there.

    Raises:
        OutputError: It cannot be written.
    """
    per_user = finished_frame(folder, tuple(METHODS)).rename(columns={"data": "protocol"})
    metrics = {name: protocol.metric for name, protocol in PROTOCOLS.items()}
    folder.write_text("report.md", rerating_report(per_user, metrics, session_lines(folder)))


if __name__ == "__main__":
    sys.exit(main())
