"""What is printed: the best of each column marked, smoke runs named as such."""

from __future__ import annotations

import io
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

from graphmeta.experiments.result_table import print_results

SUMMARY = pd.DataFrame(
    [
        ("popularity", 0, "ndcg@10", 0.31, 0.29, 0.33),
        ("popularity", 1, "ndcg@10", 0.31, 0.29, 0.33),
        ("adapted", 0, "ndcg@10", 0.3, 0.25, 0.35),
        ("adapted", 1, "ndcg@10", 1.0, 1.0, 1.0),
        ("adapted", 1, "mrr@10", 0.123, 0.1, 0.2),
    ],
    columns=["method", "k", "metric", "mean", "lower", "upper"],
)
CONTRAST = {
    "name": "adapted - best baseline",
    "k": 1,
    "against": "popularity",
    "difference": -0.0125,
    "lower": -0.02,
    "upper": 0.005,
    "helped": 0.25,
    "harmed": 0.5,
    "p_holm": 0.0312,
}


def printed(*, quick: bool = False, width: int = 80) -> str:
    metrics: dict[str, Any] = {
        "data": "some-set",
        "quick": quick,
        "k": [0, 1],
        "seeds": [0, 1],
        "methods": ["popularity", "adapted"],
        "n_users": 77,
        "notes": ["a note with [brackets] and " + "many words " * 20],
        "contrasts": [CONTRAST],
    }
    out = io.StringIO()
    print_results(SUMMARY, metrics, Console(file=out, width=width))
    return out.getvalue()


def test_best_of_each_column_is_marked() -> None:
    lines = printed().splitlines()
    popularity = next(line for line in lines if "popularity " in line and "±" in line)
    adapted = next(line for line in lines if "adapted " in line and "±" in line)
    assert popularity.split("│")[2].strip() == ".3100 ±.020*"
    assert popularity.split("│")[3].strip() == ".3100 ±.020"
    assert adapted.split("│")[2].strip() == ".3000 ±.050"
    assert adapted.split("│")[3].strip() == "1.0000 ±.000*"
    assert ".1230" not in printed()


def test_comparison_and_notes() -> None:
    text = printed()
    row = next(line for line in text.splitlines() if "(best baseline)" in line)
    cells = [cell.strip() for cell in row.split("│")[1:-1]]
    assert cells == [
        "popularity (best baseline)",
        "1",
        "-.0125",
        "-.0200 to +.0050",
        "25%",
        "50%",
        ".0312",
    ]
    assert "note: a note with [brackets] and many words" in text


def test_title() -> None:
    assert "some-set, 77 held-out users (split seeds 0, 1)" in " ".join(printed().split())
    assert "SMOKE RUN" not in printed()
    assert "SMOKE RUN, not a result." in printed(quick=True)


@pytest.mark.parametrize("width", [80, 200])
def test_columns_are_not_cut(width: int) -> None:
    assert "…" not in printed(width=width)
