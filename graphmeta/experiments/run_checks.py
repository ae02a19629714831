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
    They may also where validation users said that adapting does not surely pay, so that nobody
    would be adapted in use, and it changes every user's scores but nobody's figures, as the report
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
        agreeing = [("adapted", "unadapted", k) for k in {1, *_idle(of_seed)}]
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
        idle = _idle(list(by_method.values()))
        one, other = (
            by_method[name].per_user.drop(columns=["seed", "method"]).set_index(["k", "user"])
            for name in ("adapted", "unadapted")
        )
        same = (one == other.loc[one.index]).all(axis=1).groupby("k").all()
        sizes = [str(k) for k in sorted(idle) if same[k]]
        if sizes:
            notes.append(
                f"seed {seed}: adapting moved scores and changed no user's figures at "
                f"k={', '.join(sizes)}, where the gate leaves it out"
            )
    return notes


def _idle(cells: Sequence[Cell]) -> set[int]:
    """Return the support sizes that the gate leaves out and where adapting moves all scores."""
    found = {cell.method: cell for cell in cells if cell.method in ("adapted", "unadapted")}
    if len(found) < 2:
        return set()
    left_out = {
        int(row["k"]) for row in found["adapted"].tuning if row.get("is_worth_adapting") is False
    }
    both = found["adapted"].rankings.merge(found["unadapted"].rankings, on=["user", "k", "item"])
    both["is_moved"] = both["score_x"] != both["score_y"]
    everyone = both.groupby(["k", "user"])["is_moved"].any().groupby("k").all()
    return left_out & set(everyone.index[everyone].tolist())
