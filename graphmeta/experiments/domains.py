"""What does it help that a new user is known in other domains?

Run it with `python -m graphmeta.experiments.domains --data-root FOLDER`: users of ciao who
arrive in a category and have rated in others. `--help` lists the options.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, model_validator
from rich.console import Console
from torch_geometric.data import HeteroData

from graphmeta.data import (
    ColdSplit,
    ColdUsers,
    load_item_table,
    split_cold_users,
    split_cross_domain,
    target_alone,
    with_domains,
)
from graphmeta.data.bipartite_graph import FORWARD
from graphmeta.data.split import training_graph
from graphmeta.errors import ConfigError
from graphmeta.experiments.contrasts import SHOWN
from graphmeta.experiments.domains_report import domains_report
from graphmeta.experiments.methods import Tunable
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
from graphmeta.ranking import ColdStartRecommender, baselines, evaluate
from graphmeta.ranking.tuning import tune

PROGRAM = "python -m graphmeta.experiments.domains"
PURPOSE = "Rank for users who are known in some domains and new in another."
GRID = ("targets", "methods", "seeds", "data_root")


class DomainsSettings(BaseModel):
    """Everything that decides the result."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: tuple[str, ...] = Field(("ciao",), min_length=1, max_length=1, description="data set")
    data_root: Path | None = Field(
        None, description="folder of local data sets; else the variable GRAPHMETA_DATA_ROOT"
    )
    domain: str = Field("category", description="column of the item table with the domain")
    targets: tuple[str, ...] = Field(
        ("10", "1", "12", "3"), min_length=1, description="domains in which users are new"
    )
    methods: tuple[str, ...] = Field((), description="methods to compare; all by default")
    seeds: tuple[NotNegative, ...] = Field((0, 1, 2), min_length=1, description="split seeds")
    k: tuple[NotNegative, ...] = Field((0, 1, 3, 5), min_length=1, description="support sizes")
    k_max: Count = Field(5, description="largest support in the target")
    n_known: Count = Field(10, description="most interactions known before")
    min_count: Count = Field(10, description="items with fewer interactions are left out")
    epochs: Count = Field(20, description="most epochs of training")

    @model_validator(mode="after")
    def _is_known(self) -> Self:
        refuse_unknown(self, methods=tuple(METHODS))
        return self


@dataclass(frozen=True)
class Arrival:
    """The users of one split who arrive in one domain, and what methods learn from.

    Args:
        known: The users with what is known of them before; the graph is that of all domains.
        model: Returns the recommender that is fitted on all domains, once per split; given the
            share of its episodes that hold out a domain.
        settings: The run's.
    """

    known: ColdSplit
    model: Callable[[float], ColdStartRecommender]
    settings: DomainsSettings

    @cached_property
    def alone(self) -> ColdSplit:
        """The same with the target domain alone."""
        return target_alone(self.known)


# Returns each user's figures for every k.
Rank = Callable[[Arrival], pd.DataFrame]


def _figures(scorer: Any, users: ColdUsers, sizes: tuple[int, ...]) -> pd.DataFrame:
    return evaluate(scorer, users, k=sizes).per_user[["user", "k", SHOWN]]


def _tuned(kind: type[Tunable], split: ColdSplit, sizes: tuple[int, ...]) -> pd.DataFrame:
    """Return the figures of a baseline that is tuned for each k on its own, k = 0 like others."""
    parts = []
    for alike in ([size for size in sizes if size], [0] if 0 in sizes else []):
        if alike:
            tuned = tune(kind.search_space(), split.train, split.validation, k=alike)
            # By k itself: what is known before makes the supports longer.
            parts += [_figures(tuned.by_k[k], split.test, (k,)) for k in alike]
    return pd.concat(parts, ignore_index=True)


def _apart(kind: type[Tunable]) -> Rank:
    return lambda arrival: _tuned(kind, arrival.alone, arrival.settings.k)


def _together(kind: type[Tunable]) -> Rank:
    return lambda arrival: _tuned(kind, arrival.known, arrival.settings.k)


def _recommender_apart(arrival: Arrival) -> pd.DataFrame:
    split, settings = arrival.alone, arrival.settings
    model = ColdStartRecommender(epochs=settings.epochs, seed=split.seed)
    return _figures(model.fit(split.train, split.validation), split.test, settings.k)


def _recommender_together(share: float) -> Rank:
    return lambda arrival: _figures(arrival.model(share), arrival.known.test, arrival.settings.k)


METHODS: Mapping[str, Rank] = {
    "popularity": _apart(baselines.Popularity),
    "one-domain-user-knn": _apart(baselines.UserKNN),
    "one-domain-ease": _apart(baselines.EASE),
    "one-domain-graphmeta": _recommender_apart,
    "all-domains-user-knn": _together(baselines.UserKNN),
    "all-domains-ease": _together(baselines.EASE),
    "all-domains-graphmeta": _recommender_together(0.0),
    "arriving-graphmeta": _recommender_together(0.5),
}


def main(argv: list[str] | None = None) -> int:
    """Run what is not finished, write the report and return the exit code, 2 for bad input."""
    return grid_main(DomainsSettings, argv, program=PROGRAM, purpose=PURPOSE, grid=GRID, run=run)


def run(
    folder: RunFolder,
    settings: DomainsSettings,
    graphs: Mapping[str, HeteroData],
    words: Console,
) -> None:
    """Compute the cells that are not there yet, then the report from all that are.

    Raises:
        GraphMetaError: A cell fails, or a file cannot be written.
    """
    ((name, whole),) = graphs.items()
    table = load_item_table(name, data_root=settings.data_root)
    if settings.domain not in table:
        raise ConfigError(
            f"no column {settings.domain!r} among {', '.join(map(str, table))}; change --domain"
        )
    domains = table.set_index("item")[settings.domain].astype(str)
    graph = with_domains(_of_known_items(whole, settings.min_count), domains)
    for seed in settings.seeds:
        models: dict[float, ColdStartRecommender] = {}

        def model(share: float, seed: int = seed, models: dict[Any, Any] = models) -> Any:
            if share not in models:
                split = split_cold_users(graph, seed=seed)
                fresh = ColdStartRecommender(
                    epochs=settings.epochs, new_domain_share=share, seed=seed
                )
                models[share] = fresh.fit(split.train, split.validation)
            return models[share]

        for target in settings.targets:
            known = split_cross_domain(
                graph, target, seed=seed, k_max=settings.k_max, n_known=settings.n_known
            )
            arrival = Arrival(known, model, settings)
            methods = settings.methods or tuple(METHODS)
            for method, place in open_cells(folder, target, seed, methods, words):
                write_cell(folder, place, partial(METHODS[method], arrival))
    write_report(folder)


def write_report(folder: RunFolder) -> None:
    """Write `report.md` from all cells that are there.

    Raises:
        OutputError: It cannot be written.
    """
    per_user = finished_frame(folder, tuple(METHODS)).rename(columns={"data": "target"})
    folder.write_text("report.md", domains_report(per_user, session_lines(folder)))


def _of_known_items(graph: HeteroData, min_count: int) -> HeteroData:
    """Return the graph of the items with at least so many interactions."""
    item = graph[FORWARD].edge_index[1]
    return training_graph(graph, np.flatnonzero((item.bincount() >= min_count)[item]))[0]


if __name__ == "__main__":
    sys.exit(main())
