"""Means over users of several splits, intervals over persons."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from graphmeta.experiments.cell import Cell
from graphmeta.experiments.pooled import (
    METRICS,
    catalogue_table,
    edge_notes,
    gate_notes,
    pooled_per_user,
    summary_table,
    tuning_table,
)


def cell(seed: int, method: str, users: list[str], values: list[float]) -> Cell:
    frame = pd.DataFrame({"seed": seed, "method": method, "user": users, "k": 1})
    per_user = frame.assign(**dict.fromkeys(METRICS, np.array(values)))
    return Cell(
        seed,
        method,
        per_user,
        frame,
        catalogue=[{"k": 1, "coverage@10": float(seed)}],
        tuning=[{"k": 1, "power": 2.0, "at_edge": "power" if seed else ""}],
    )


def test_mean_is_over_rows_and_interval_over_persons() -> None:
    cells = [cell(0, "m", ["a", "b"], [1.0, 0.0]), cell(1, "m", ["a", "c"], [1.0, 0.0])]
    table = summary_table(pooled_per_user(cells))
    assert table["mean"].tolist() == [0.5] * 4
    assert table["n_users"].tolist() == [4] * 4
    assert (table["lower"] == 0.0).all()
    assert (table["upper"] == 1.0).all()


def test_one_person_in_many_splits_is_one_draw() -> None:
    cells = [cell(s, "m", ["a"], [float(s)]) for s in range(4)]
    table = summary_table(pooled_per_user(cells))
    # Resampling one person gives that person's mean each time.
    assert table[["mean", "lower", "upper"]].to_numpy().tolist() == [[1.5] * 3] * 4


def test_catalogue_is_averaged_over_splits() -> None:
    table = catalogue_table([cell(s, "m", ["a"], [1.0]) for s in (1, 2)])
    assert table.to_dict(orient="records") == [{"method": "m", "k": 1, "coverage@10": 1.5}]


def test_a_figure_that_a_split_lacks_is_averaged_over_the_others() -> None:
    cells = [cell(s, "m", ["a"], [1.0]) for s in (1, 2)]
    for one, tail in zip(cells, (None, 0.5), strict=True):
        one.catalogue[0] |= {"tail_ndcg@10": tail, "other": None}
    table = catalogue_table(cells)
    assert table["tail_ndcg@10"].tolist() == [0.5]
    assert table["other"].isna().all()


def test_edges_are_told() -> None:
    tuning = tuning_table([cell(s, "m", ["a"], [1.0]) for s in (0, 1, 2)])
    assert tuning[0] == {"seed": 0, "method": "m", "k": 1, "power": 2.0, "at_edge": ""}
    assert edge_notes(tuning) == [
        "m: the best power is at the edge of its grid (k=1 seed 1, k=1 seed 2)"
    ]


def test_the_gates_choices_are_told() -> None:
    def chose(seed: int, k: int, is_worth_adapting: bool) -> dict[str, object]:
        return {"seed": seed, "method": "adapted", "k": k, "is_worth_adapting": is_worth_adapting}

    assert gate_notes([chose(0, 3, True), {"seed": 0, "method": "ease", "k": 3}]) == []
    notes = gate_notes([chose(s, k, s == 1 or k == 5) for s in (0, 1, 2) for k in (3, 5)])
    assert notes == [
        "the gate falls back to the unadapted encoder where adapting did not surely gain on "
        "validation users (k=3: split seeds 0, 2)"
    ]


def test_intervals_match_a_plain_bootstrap() -> None:
    rng = np.random.default_rng(0)
    values = rng.random(80)
    table = summary_table(pooled_per_user([cell(0, "m", [f"u{i}" for i in range(80)], values)]))
    draws = values[rng.integers(0, 80, (4000, 80))].mean(axis=1)
    lower, upper = np.quantile(draws, [0.025, 0.975])
    assert table["lower"][0] == pytest.approx(lower, abs=0.01)
    assert table["upper"][0] == pytest.approx(upper, abs=0.01)
