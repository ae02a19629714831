"""The default recommender less its parts: what a run leaves, and the report by hand."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch
from torch_geometric.data import HeteroData

from graphmeta.errors import OutOfMemoryError
from graphmeta.experiments import ablation
from graphmeta.experiments.ablated import DEFAULT, VARIANTS, ablated, has_part
from graphmeta.experiments.ablation import main
from graphmeta.experiments.ablation_report import ablation_report, compared, with_gate
from graphmeta.meta import MAML

SMALL = ["--epochs", "1", "--min-steps", "1", "--seeds", "0", "--k", "1", "3"]


def test_a_run_leaves_a_report_and_goes_on_with_more(tmp_path: Path) -> None:
    out = tmp_path / "parts"
    assert main([*SMALL, "--variants", "no-vote", "--out", str(out)]) == 0
    first = (out / "report.md").read_text()
    frame = pd.read_parquet(out / "cells/movielens-small/no-vote/seed-0.parquet")
    assert set(frame["scorer"]) == {"adapted", "unadapted"}
    assert set(frame["k"]) == {1, 3}
    names = [line.split(" | ")[0] for line in first.splitlines() if line.startswith("| ")]
    assert [name for name in names if name in ("| default", "| no-vote", "| no-gate")] == [
        *("| no-vote", "| no-gate"),  # over the data sets
        *("| default", "| no-vote", "| no-gate"),
    ]
    stamp = (out / "cells/movielens-small/default/seed-0.json").stat().st_mtime_ns
    assert main(["--resume", str(out), "--variants", "no-adaptation"]) == 0
    report = (out / "report.md").read_text()
    assert "| no-adaptation | " in report
    assert "| no-vote | " in report
    assert (out / "cells/movielens-small/default/seed-0.json").stat().st_mtime_ns == stamp


def test_a_variant_too_large_is_reported_and_not_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit = ablation.fit_and_score

    def refuse(*arguments: object, **options: object) -> None:
        if "wide-subgraph" in str(arguments[1]):
            raise OutOfMemoryError("training needs 9 MiB, but 8 are free")
        fit(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(ablation, "fit_and_score", refuse)
    out = tmp_path / "parts"
    assert main([*SMALL, "--variants", "wide-subgraph", "--out", str(out)]) == 0
    report = (out / "report.md").read_text()
    assert "`wide-subgraph`, split 0: training needs 9 MiB, but 8 are free." in report
    assert "| wide-subgraph" not in report
    monkeypatch.setattr(ablation, "fit_and_score", None)
    assert main(["--resume", str(out), "--variants", "wide-subgraph"]) == 0


def test_a_default_too_large_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise OutOfMemoryError("training needs 9 MiB, but 8 are free")

    monkeypatch.setattr(ablation, "fit_and_score", refuse)
    assert main([*SMALL, "--variants", "no-vote", "--out", str(tmp_path / "parts")]) == 2
    assert "error: training needs 9 MiB" in capsys.readouterr().err
    assert not list((tmp_path / "parts").rglob("seed-0.json"))


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_trains_and_scores(name: str, planted_graph: HeteroData) -> None:
    planted_graph["item"].x = (torch.rand(100, 5) > 0.5).float()
    assert has_part(name, planted_graph)
    model = ablated(name, planted_graph, seed=0, epochs=1, min_steps=1).fit(planted_graph)
    assert len(model.losses) == 1
    default = ablated(DEFAULT, planted_graph, seed=0, epochs=1, min_steps=1).fit(planted_graph)
    if name in ("no-adaptation", "no-leave-one-out"):
        # So few steps may all be unadapted ones.
        learner = model.learner
        assert isinstance(learner, MAML)
        assert learner.is_adaptive == (name == "no-leave-one-out")
        assert learner.inner_loss == ("support" if learner.is_adaptive else "leave_one_out")
    else:
        assert (model.losses == default.losses) == (name == DEFAULT)


def test_items_without_features_have_no_content_to_leave_out(planted_graph: HeteroData) -> None:
    assert not has_part("no-content", planted_graph)
    assert has_part("no-vote", planted_graph)


def rows_of(variant: str, scorer: str, level: float, *, users: int = 12) -> list[dict[str, object]]:
    same = {"data": "toy", "variant": variant, "seed": 0, "k": 1, "scorer": scorer}
    return [{**same, "user": user, "ndcg@10": level} for user in range(users)]


def test_the_report_by_hand() -> None:
    per_user = pd.DataFrame(
        [
            *rows_of(DEFAULT, "adapted", 0.3),
            *rows_of(DEFAULT, "unadapted", 0.4),
            *rows_of("no-vote", "adapted", 0.2),
            *rows_of("no-vote", "unadapted", 0.1),
        ]
    )
    cells = [
        {"data": "toy", "variant": DEFAULT, "seed": 0, "seconds": 3.0, "adapts": {"1": False}},
        {"data": "toy", "variant": "no-vote", "seed": 0, "seconds": 2.0, "adapts": {"1": True}},
    ]
    shown = with_gate(per_user, cells)
    levels = shown.groupby("variant")["ndcg@10"].mean().round(9).to_dict()
    assert levels == {DEFAULT: 0.4, "no-vote": 0.2, "no-gate": 0.3}
    table = compared(shown).set_index("variant")
    assert table.loc["no-vote", "difference"] == pytest.approx(-0.2)
    assert table.loc["no-gate", "difference"] == pytest.approx(-0.1)
    lines = ablation_report(per_user, cells, "- by hand").splitlines()
    assert "| default | .4000 |  | 3 |" in lines
    assert "| no-vote | .2000 | **-0.2000 (-0.2000 to -0.2000)** | 2 |" in lines
    assert "| no-vote | 1 | -50.0 % | 1 | 0 | 1 |" in lines
    assert "| toy, default | -0.1000 (-0.1000 to -0.1000) |" in lines
    assert "| toy, no-vote | +0.1000 (+0.1000 to +0.1000) |" in lines
