"""Adapted less each method that it must answer to."""

from __future__ import annotations

import pandas as pd
import pytest

from graphmeta.experiments.contrasts import best_of, contrasts
from graphmeta.experiments.methods import METHODS, Method, choose_methods

VALUES = {
    # method: its figure at k = 0 and k = 1
    "popularity": (0.5, 0.1),
    "user-knn": (0.4, 0.3),
    "unadapted": (0.45, 0.9),
    "adapted": (0.45, 0.6),
}


def table() -> pd.DataFrame:
    rows = [
        (0, method, f"u{u}", k, values[k] + 0.001 * u)
        for method, values in VALUES.items()
        for k in (0, 1)
        for u in range(8)
    ]
    return pd.DataFrame(rows, columns=["seed", "method", "user", "k", "ndcg@10"])


def methods(*names: str) -> tuple[Method, ...]:
    return choose_methods(names)


def test_by_hand() -> None:
    rows = contrasts(table(), methods(*VALUES))
    assert [(r["name"], r["k"], r["against"]) for r in rows] == [
        ("adapted - unadapted", 0, "unadapted"),
        ("adapted - unadapted", 1, "unadapted"),
        ("adapted - popularity", 0, "popularity"),
        ("adapted - popularity", 1, "popularity"),
        ("adapted - best baseline", 0, "popularity"),
        ("adapted - best baseline", 1, "user-knn"),
    ]
    assert [r["difference"] for r in rows] == pytest.approx([0.0, -0.3, -0.05, 0.5, -0.05, 0.3])
    assert [r["helped"] for r in rows] == [0, 0, 0, 1, 0, 1]
    assert [r["harmed"] for r in rows] == [0, 1, 1, 0, 1, 0]
    # All eight users agree: of 256 signs, two are as extreme; twice that for two sizes.
    assert rows[-1]["p_value"] == pytest.approx(2 / 256, abs=0.004)
    twice = 2 * rows[-1]["p_value"]
    assert rows[-1]["p_holm"] == pytest.approx(max(rows[-2]["p_value"], twice), 0.6)
    assert all(r["lower"] <= r["difference"] + 1e-12 for r in rows)


def test_unadapted_is_no_baseline() -> None:
    assert best_of(table(), ["popularity", "user-knn"]) == {0: "popularity", 1: "user-knn"}
    best = [r["against"] for r in contrasts(table(), methods(*VALUES)) if "best" in r["name"]]
    assert "unadapted" not in best


def test_what_is_not_there_is_not_compared() -> None:
    frame = table()
    assert contrasts(frame[frame["method"] != "adapted"], methods("popularity")) == []
    only = contrasts(frame[frame["method"].isin(["adapted", "popularity"])], METHODS[-1:])
    assert only == []
