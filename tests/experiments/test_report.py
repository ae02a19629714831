"""The report holds every figure and who made it."""

from __future__ import annotations

from typing import Any

import pandas as pd

from graphmeta.experiments.report import report_markdown

METRICS = ["ndcg@10", "recall@20", "hit_rate@10", "mrr@10"]
SUMMARY = pd.DataFrame(
    [
        (method, k, metric, value + 0.1 * k, value + 0.1 * k - 0.02, value + 0.1 * k + 0.02)
        for method, value in (("ease", 0.25), ("adapted", 0.2))
        for k in (0, 1)
        for metric in METRICS
    ],
    columns=["method", "k", "metric", "mean", "lower", "upper"],
)
SUMMARY.loc[(SUMMARY["method"] == "adapted") & (SUMMARY["k"] == 1), "mean"] = 0.5
MANIFEST: dict[str, Any] = {
    "command": "python -m graphmeta.experiments.coldstart --seeds 0 1",
    "commit": "abc123",
    "finished": "2026-01-02T03:04:05+00:00",
    "seconds": 61.7,
    "peak_memory_mib": 900,
    "machine": {"cpu": "some cpu", "cores": 2, "memory_gib": 24.0, "gpu": None},
    "data": {"users": 30, "items": 20, "interactions": 100},
    "splits": [{"training_users": 20, "validation_users": 6, "test_users": 4}] * 2,
    "versions": {"torch": "2", "torch-geometric": "3"},
    "python": "3.11",
}


def metrics(**changed: Any) -> dict[str, Any]:
    contrast = {
        "name": "adapted - best baseline",
        "k": 1,
        "against": "ease",
        "difference": 0.15,
        "lower": 0.1,
        "upper": 0.2,
        "helped": 0.75,
        "harmed": 0.25,
        "p_holm": 0.01,
    }
    tuning = [
        {
            "seed": s,
            "method": "ease",
            "k": 1,
            "ridge": r,
            "ndcg@10": 0.3,
            "n_tried": 9,
            "at_edge": "",
        }
        for s, r in ((0, 10000.0), (1, 200000.0))
    ]
    gate = {"seed": 0, "method": "adapted", "k": 1, "is_worth_adapting": True}
    catalogue = [
        {"method": "ease", "k": 0, "coverage@10": 0.5, "novelty@10": 3.25, "tail_ndcg@10": None}
    ]
    return {
        "data": "some-set",
        "quick": False,
        "k": [0, 1],
        "seeds": [0, 1],
        "methods": ["ease", "adapted"],
        "n_users": 8,
        "notes": ["a note"],
        "contrasts": [contrast],
        "tuning": [*tuning, gate],
        "catalogue": catalogue,
    } | changed


def report(**changed: Any) -> list[str]:
    text = report_markdown(SUMMARY, metrics(**changed), MANIFEST, has_figures=True)
    return text.splitlines()


def test_who_made_it() -> None:
    lines = report()
    assert lines[0] == "# some-set, 8 held-out users"
    assert "- Command: `python -m graphmeta.experiments.coldstart --seeds 0 1`" in lines
    assert "- Commit: abc123" in lines
    assert "- Date: 2026-01-02T03:04:05+00:00" in lines
    assert "- Machine: some cpu, 2 cores, 24.0 GiB, GPU: none" in lines
    assert (
        "- Splits (cold-users): seeds 0, 1; training/validation/test users 20/6/4, 20/6/4" in lines
    )
    assert report(quick=True)[0].startswith("# SMOKE RUN")


def test_every_figure_is_there() -> None:
    lines = report()
    assert "| ease | **.2500 ± .020** | .3500 ± .020 |" in lines
    assert "| adapted | .2000 ± .020 | **.5000 ± .020** |" in lines
    assert "| ease (best baseline) | 1 | +.1500 | +.1000 to +.2000 | 75% | 25% | .0100 |" in lines
    # The other metrics, whose best is not marked.
    assert lines.count("| adapted | .2000 ± .020 | .5000 ± .020 |") == 3
    assert {"## Recall@20", "## HitRate@10", "## MRR@10", "- a note"} <= set(lines)
    assert "| ease | 0 | .500 | 3.250 | - |" in lines
    assert "| ease | 1 | ridge 10000, 200000 |" in lines
    assert "| adapted | 1 | is_worth_adapting True |" in lines


def test_what_is_not_there_is_left_out() -> None:
    lines = report(notes=[], contrasts=[], tuning=[])
    assert not any("Paired" in line or "Notes" in line for line in lines)
    assert "Nothing was to be chosen." in lines
    bare = report_markdown(SUMMARY, metrics(), MANIFEST, has_figures=False)
    assert "![" not in bare
