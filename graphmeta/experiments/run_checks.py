"""The checks that a run makes on itself."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from graphmeta.experiments.cell import Cell
from graphmeta.experiments.methods import Method
from graphmeta.experiments.run_data import RunData
from graphmeta.ranking import Evaluation, check_collapse, run_canaries


def check_protocol(data: RunData) -> None:
    """Run the canaries on every split's validation users, before any training.

    Raises:
        ProtocolError: A scorer whose figures are known does not get them.
    """
    sizes = data.settings.k or (0,)
    for split in data.splits:
        run_canaries(split.validation, k=sizes[:2], seed=split.seed)


def collapsed(cells: Sequence[Cell], methods: Sequence[Method]) -> list[str]:
    """Return what is too alike to be true, a line for each finding.

    At k = 1 nothing can be left out to adapt on, so the adapted and the unadapted encoder agree.
    They may also where adapting changes every user's scores but nobody's best items, as the report
    then shows.
    Two trainings whose best weights are those before training have the same ones.
    """
    blind = [method.name for method in methods if not method.is_personalised]
    findings = []
    for seed in dict.fromkeys(cell.seed for cell in cells):
        of_seed = [cell for cell in cells if cell.seed == seed]
        untrained = {
            cell.method for cell in of_seed if any(row.get("epoch") == 0 for row in cell.tuning)
        }
        agreeing = [("adapted", "unadapted", k) for k in {1, *_moved_by_adapting(of_seed)}]
        if {"fine-tuned", "unadapted"} <= untrained:
            sizes = {int(row["k"]) for cell in cells for row in cell.catalogue}
            agreeing += [
                ("fine-tuned", ours, k) for ours in ("unadapted", "adapted") for k in sizes
            ]
        evaluations = {
            cell.method: Evaluation(
                cell.per_user.drop(columns=["seed", "method"]),
                cell.rankings.drop(columns=["seed", "method"]),
                pd.DataFrame(cell.catalogue),
            )
            for cell in of_seed
        }
        found = check_collapse(
            evaluations,
            non_personalised=blind,
            may_agree=agreeing,
            is_strict=False,
        )
        findings += [f"seed {seed}: {finding}" for finding in found]
    return findings


def adaptation_notes(cells: Sequence[Cell]) -> list[str]:
    """Return a line for each split where adapting moved scores but left every figure as it was."""
    notes = []
    for seed in dict.fromkeys(cell.seed for cell in cells):
        by_method = {cell.method: cell for cell in cells if cell.seed == seed}
        if not {"adapted", "unadapted"} <= by_method.keys():
            continue
        moved = _moved_by_adapting(list(by_method.values()))
        one, other = (
            by_method[name].per_user.drop(columns=["seed", "method"]).set_index(["k", "user"])
            for name in ("adapted", "unadapted")
        )
        same = (one == other.loc[one.index]).all(axis=1).groupby("k").all()
        sizes = [str(k) for k in sorted(moved) if same[k]]
        if sizes:
            notes.append(
                f"seed {seed}: adapting moved scores and changed no user's figures at "
                f"k={', '.join(sizes)}"
            )
    return notes


def _moved_by_adapting(cells: Sequence[Cell]) -> set[int]:
    """Return the support sizes at which adapting changed every user's scores of best items."""
    found = [cell.rankings for cell in cells if cell.method in ("adapted", "unadapted")]
    if len(found) < 2:
        return set()
    both = found[0].merge(found[1], on=["user", "k", "item"])
    both["is_moved"] = both["score_x"] != both["score_y"]
    everyone = both.groupby(["k", "user"])["is_moved"].any().groupby("k").all()
    return set(everyone.index[everyone].tolist())
