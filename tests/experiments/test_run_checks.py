"""What a run finds too alike to be true."""

from __future__ import annotations

import pandas as pd

from graphmeta.experiments.cell import Cell
from graphmeta.experiments.methods import METHODS
from graphmeta.experiments.run_checks import adaptation_notes, collapsed

USERS = [f"u{n}" for n in range(12)]


def cell(method: str, *, k: int = 3, added: float = 0.0, pays: bool = False) -> Cell:
    """Return the same figures and best items whatever the method, with a score moved."""
    rank = [1, 2] * len(USERS)
    rankings = pd.DataFrame(
        {
            "seed": 0,
            "method": method,
            "user": [user for user in USERS for _ in range(2)],
            "k": k,
            "rank": rank,
            "item": rank,
            "score": [1.0 / place + added for place in rank],
        }
    )
    figures = [0.1 + 0.01 * number for number in range(len(USERS))]
    per_user = pd.DataFrame(
        {"seed": 0, "method": method, "user": USERS, "k": k, "ndcg@10": figures}
    )
    gate = [{"k": k, "is_worth_adapting": pays}] if method == "adapted" else []
    return Cell(0, method, per_user, rankings, catalogue=[{"k": k}], tuning=gate)


def test_adapting_that_changes_scores_but_no_ranking_has_not_collapsed() -> None:
    cells = [cell("unadapted"), cell("adapted", added=1e-4)]
    assert collapsed(cells, METHODS) == []
    told = "seed 0: adapting moved scores and changed no user's figures at k=3, where the gate "
    assert adaptation_notes(cells) == [f"{told}leaves it out"]
    assert adaptation_notes([cell("unadapted"), cell("ease", added=1e-4)]) == []


def test_adapting_that_should_pay_and_changes_no_figure_is_found() -> None:
    cells = [cell("unadapted"), cell("adapted", added=1e-4, pays=True)]
    assert len(collapsed(cells, METHODS)) == 1
    assert adaptation_notes(cells) == []


def test_adapting_that_passes_a_user_by_is_found() -> None:
    adapted = cell("adapted", added=1e-4)
    cells = [cell("unadapted"), adapted]
    rows = adapted.rankings["user"] == "u3"
    adapted.rankings.loc[rows, "score"] = cells[0].rankings["score"][rows]
    assert len(collapsed(cells, METHODS)) == 1
    assert adaptation_notes(cells) == []


def test_adapting_that_changes_nothing_is_found_where_there_is_something_to_adapt_on() -> None:
    assert collapsed([cell("unadapted", k=1), cell("adapted", k=1)], METHODS) == []
    findings = collapsed([cell("unadapted"), cell("adapted")], METHODS)
    assert findings == ["seed 0: unadapted and adapted have the same figures for every user at k=3"]


def test_other_methods_may_not_differ_in_scores_alone() -> None:
    assert collapsed([cell("ease"), cell("ials", added=1e-4)], METHODS)
