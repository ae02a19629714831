"""What shilling costs each method: fake users in the training graph, fake clicks in the support.

Run it with `python -m graphmeta.experiments.robustness`, or for a data set that has a card with
`--data ml-1m --data-root FOLDER`. Each attack is made once per split; every method is then tuned
and trained on the attacked graph, as an operator would who does not know, and scored on the same
genuine test users. With `--cells FOLDER` what was measured is kept, so that a later call goes on
from there, and reports all of it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data import ColdSplit
from graphmeta.data.collusion import collusion
from graphmeta.data.shilling import less_known_items
from graphmeta.data.suspects import suspicion, without_users
from graphmeta.data.whole_file import write_whole
from graphmeta.errors import ConfigError
from graphmeta.experiments.attacked import Attack, measured
from graphmeta.experiments.fitted_splits import made_by, run_report, split_options
from graphmeta.experiments.methods import METHODS, choose_methods
from graphmeta.experiments.robustness_report import draw, report
from graphmeta.experiments.run_data import load_run_data
from graphmeta.experiments.seed_run import SeedRun
from graphmeta.experiments.settings import ColdStartSettings
from graphmeta.ranking import ColdStartRecommender, Scorer

PROGRAM = "graphmeta.experiments.robustness"
# Of the table's methods those that are quickly tuned; others can be named.
QUICK = (
    "popularity",
    "item-knn",
    "user-knn",
    "ease",
    "ials",
    "graph-filter",
    "rm1",
    "few-shot-linear",
)
# The recommender, which is reported unadapted and adapted; trained with `shilled_share`; and on
# the graph without colluders.
OURS = ("encoder", "defended", "screened")
N_TARGETS = 5
# Users more of whose items than this have twins are screened out.
COLLUDES = 0.1
# Fake clicks where there are no fake users; where there are some, their targets are clicked.
CLICKED_ON_CLEAN = ("random", "popular", "worst")


def main(argv: list[str] | None = None) -> int:
    """Attack, tune, train, print a report and return the exit code: 2 where it cannot be done."""
    parser = split_options(PROGRAM)
    parser.add_argument("--k", type=int, nargs="+", default=[1, 5], help="items shown")
    parser.add_argument(
        "--attacks",
        nargs="+",
        default=["bandwagon:0.2"],
        help="fillers and fake users for each real one; the clean graph comes along",
    )
    parser.add_argument("--methods", nargs="+", default=[*QUICK, *OURS])
    parser.add_argument("--profile-size", type=int, default=20, help="fillers of a fake user")
    parser.add_argument(
        "--shilled-share", type=float, default=0.5, help="as of the defended recommender"
    )
    parser.add_argument(
        "--cells", type=Path, help="keep what was measured here; a folder for each set of options"
    )
    typed = parser.parse_args(argv)

    def text() -> str:
        with tempfile.TemporaryDirectory() as scratch:
            cells = typed.cells or Path(scratch)
            screening = _run(typed, cells)
            found = _found(cells, typed.seeds)
        picture = draw(found, typed.out)
        made = made_by(PROGRAM, argv)
        return report(found, screening, typed, picture=picture) + made

    return run_report(typed, text)


def _found(cells: Path, seeds: list[int]) -> pd.DataFrame:
    """Return what was measured on all splits, methods in the order of the cold-start table."""
    names = [*(method.name for method in METHODS), "defended", "screened"]
    place = {name: at for at, name in enumerate(names)}
    found = pd.concat(map(pd.read_parquet, sorted(cells.glob("[!.]*.parquet"))), ignore_index=True)
    found = found[found["seed"].isin(seeds)]
    n_splits = found.groupby(["attack", "method"])["seed"].transform("nunique")
    found = found[n_splits == len(seeds)]
    return found.sort_values("method", key=lambda name: name.map(place), kind="stable")


def _run(typed: argparse.Namespace, cells: Path) -> pd.DataFrame:
    """Measure every cell that is not there yet, a method on a split under an attack.

    Returns:
        What `_screened` found of every attack and split.
    """
    attacks = [Attack("random", 0.0), *map(Attack.read, typed.attacks)]
    baselines = [name for name in typed.methods if name not in OURS]
    choose_methods(baselines)  # Refuses an unknown name before minutes of training.
    if min(typed.k) < 1:
        raise ConfigError(f"--k {min(typed.k)} must be at least 1: who has shown nothing")
    given = {"data": typed.data, "data_root": typed.data_root, "seeds": tuple(typed.seeds)}
    settings = ColdStartSettings(
        k=tuple(typed.k), **{n: v for n, v in given.items() if v is not None}
    )
    data = load_run_data(settings)
    screening = []
    for attack in attacks:
        for split in data.splits:
            targets = less_known_items(split.train, N_TARGETS, seed=split.seed)
            graph = attack.on(
                split.train, targets, profile_size=typed.profile_size, seed=split.seed
            )
            _measure(attack, replace(split, train=graph), targets, data.settings, typed, cells)
            screening.append({"attack": str(attack), **_screened(graph, split)})
    return pd.DataFrame(screening)


def _measure(
    attack: Attack,
    attacked: ColdSplit,
    targets: Tensor,
    settings: ColdStartSettings,
    typed: argparse.Namespace,
    cells: Path,
) -> None:
    """Write the cells of an attacked split that are not there yet."""
    training = cells / "training" / str(attack)
    training.mkdir(parents=True, exist_ok=True)
    run = SeedRun.of(attacked, settings, training, lambda *_: None)
    for name in typed.methods:
        path = cells / f"{attack}-{attacked.seed}-{name}.parquet"
        if not path.exists():
            scorers = list(_scorers(name, run, typed))
            rows = _cell(scorers, attack, attacked, targets, typed.k)
            rows["attack"], rows["share"] = str(attack), attack.share
            rows["seed"] = attacked.seed
            write_whole(path, rows.to_parquet)


def _scorers(name: str, run: SeedRun, typed: argparse.Namespace) -> Iterator[tuple[str, Scorer]]:
    """Yield what a method is called in the report, and the method, tuned and trained."""
    if name not in OURS:
        (method,) = choose_methods([name])
        yield name, method.prepare(run).scorer
        return
    graph, share = run.train, typed.shilled_share if name == "defended" else 0.0
    if name == "screened":
        graph = without_users(graph, collusion(graph) > COLLUDES)
    model = ColdStartRecommender(epochs=typed.epochs, shilled_share=share, seed=run.seed)
    model.fit(graph, run.validation)
    if name == "encoder":
        yield "unadapted", model.unadapted()
        yield "adapted", model.adapted()
    else:
        yield name, model.adapted()


def _cell(
    scorers: list[tuple[str, Scorer]],
    attack: Attack,
    split: ColdSplit,
    targets: Tensor,
    sizes: list[int],
) -> pd.DataFrame:
    parts = []
    clicks = ("none", "target") if attack.share else ("none", *CLICKED_ON_CLEAN)
    for name, scorer in scorers:
        for k in sizes:
            for click in clicks:
                found = measured(scorer, split.test, targets, k=k, click=click, seed=split.seed)
                parts.append(found.assign(method=name, k=k, click=click))
    return pd.concat(parts, ignore_index=True)


def _screened(graph: HeteroData, split: ColdSplit) -> dict[str, float]:
    """Return what screening finds: fakes among as many top suspects, and who is left out."""
    n_real = int(split.train["user"].num_nodes)
    n_fake = int(graph["user"].num_nodes) - n_real
    suspects = suspicion(graph).argsort(descending=True, stable=True)[:n_fake]
    colludes = (collusion(graph) > COLLUDES).double()
    nobody = float("nan")
    return {
        "suspects": float((suspects >= n_real).double().mean()) if n_fake else nobody,
        "fakes": float(colludes[n_real:].mean()) if n_fake else nobody,
        "real": float(colludes[:n_real].mean()),
    }


if __name__ == "__main__":
    sys.exit(main())
