"""The robustness experiment, from the command line and on planted users."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from graphmeta.data import from_frame, planted_interactions, split_cold_users
from graphmeta.experiments.attacked import Attack
from graphmeta.experiments.robustness import _cell, _scorers, main
from graphmeta.experiments.robustness_report import draw, report
from graphmeta.experiments.seed_run import SeedRun
from graphmeta.experiments.settings import ColdStartSettings


def test_the_command_keeps_what_it_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, cells = tmp_path / "robustness.md", tmp_path / "cells"
    words = ["--seeds", "0", "--methods", "popularity", "--k", "1", "--cells", str(cells)]
    words += ["--attacks", "bandwagon:0.2", "bandwagon:0.5", "--out", str(out)]
    assert main(words) == 0
    text = out.read_text()
    assert text.strip() in capsys.readouterr().out
    assert "| popularity | 0.0% | 0.0% | 100.0% |" in text
    assert "robustness.png" in text
    assert out.with_suffix(".png").stat().st_size > 10_000
    written = {path.name: path.stat().st_mtime_ns for path in cells.glob("*.parquet")}
    assert len(written) == 3
    assert main(words) == 0
    assert written == {path.name: path.stat().st_mtime_ns for path in cells.glob("*.parquet")}
    capsys.readouterr()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--data", "nowhere"], "error: "),
        (["--methods", "popularty"], "did you mean 'popularity'"),
        (["--attacks", "bandwagon"], "must be written as in"),
        (["--k", "0"], "must be at least 1"),
    ],
)
def test_what_cannot_be_run(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    assert message in capsys.readouterr().err


def found_on_planted_users(tmp_path: Path, typed: argparse.Namespace) -> pd.DataFrame:
    split = split_cold_users(
        from_frame(planted_interactions(120, 200, per_user=20, skew=0.3), time="time"), seed=0
    )
    targets = split.test.first.item_index[0, :2]
    parts = []
    for attack in (Attack("random", 0.0), Attack("bandwagon", 0.1)):
        graph = attack.on(split.train, targets, profile_size=5, seed=0)
        run = SeedRun.of(
            replace(split, train=graph), ColdStartSettings(k=(3,)), tmp_path, lambda *_: None
        )
        for name in ("popularity", "encoder", "screened" if attack.share else "defended"):
            scorers = list(_scorers(name, run, typed))
            rows = _cell(scorers, attack, split, targets, [3])
            parts.append(rows.assign(attack=str(attack), share=attack.share, seed=0))
    return pd.concat(parts, ignore_index=True)


def test_every_method_is_measured_and_reported(tmp_path: Path) -> None:
    typed = argparse.Namespace(epochs=0, shilled_share=0.5, profile_size=5)
    found = found_on_planted_users(tmp_path, typed)
    methods = ["popularity", "unadapted", "adapted", "defended", "screened"]
    assert list(dict.fromkeys(found["method"])) == methods
    assert set(found.loc[found["attack"] == "clean", "click"]) == {
        "none",
        "random",
        "popular",
        "worst",
    }
    screening = pd.DataFrame(
        [
            {"attack": "clean", "suspects": float("nan"), "fakes": float("nan"), "real": 0.01},
            {"attack": "bandwagon:0.1", "suspects": 0.5, "fakes": 1.0, "real": 0.02},
        ]
    )
    text = report(found, screening, typed, picture="page.png")
    assert "![Loss and pushed items by attack size](page.png)" in text
    assert "| defended, worst click | 3 |" in text
    assert "| clean | - | - | 1.0% |" in text
    assert "| bandwagon:0.1 | 50.0% | 100.0% | 2.0% |" in text
    for method in methods:
        assert text.count(f"| {method} |") == 3


def test_what_was_not_measured_is_absent(tmp_path: Path) -> None:
    rows = {"attack": "clean", "share": 0.0, "click": "none", "method": "popularity", "k": 1}
    found = pd.DataFrame(
        [{**rows, "seed": 0, "user": u, "ndcg@10": 0.1 * u, "hit": 0.0} for u in (1, 2)]
    )
    other = found.assign(method="ease", attack="random:0.1", share=0.1)
    typed = argparse.Namespace(profile_size=5)
    screening = pd.DataFrame([{"attack": "clean", "real": 0.0}])
    text = report(pd.concat([found, other]), screening, typed, picture=None)
    assert "| popularity | 0.1500 | - |" in text
    assert "| ease | - | - |" in text
    assert draw(found, None) is None
    assert draw(found, tmp_path / "page.md") is None
