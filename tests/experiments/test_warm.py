"""Well-known users ranked by the model for new ones: a planted set under a known name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from graphmeta.data import from_frame, planted_interactions, split_warm_users
from graphmeta.experiments import warm
from graphmeta.experiments.warm import main
from graphmeta.experiments.warm_report import warm_report
from graphmeta.ranking import ColdStartRecommender


@pytest.fixture
def root(
    planted_root: Path,
    quick_recommender: Callable[..., ColdStartRecommender],
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    monkeypatch.setattr(warm, "ColdStartRecommender", quick_recommender)
    # The longest history is that of a test user.
    path = planted_root / "filmtrust" / "interactions.parquet"
    table = planted_interactions(skew=0.3, per_user=40)
    table["user"] = table["user"].str[1:].astype(int)
    table = table[table.groupby("user").cumcount() < 10 + table["user"] // 7]
    table[["user", "item", "rating"]].to_parquet(path)
    split = split_warm_users(from_frame(table))
    assert split.validation.k_max < split.test.k_max
    return planted_root


def test_the_command_goes_on_where_it_stopped(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    small = ["--data", "filmtrust", "--data-root", str(root), "--seeds", "0", "--epochs", "1"]
    assert main([*small, "--methods", "popularity", "--out", str(folder)]) == 0
    assert "not within" not in (folder / "report.md").read_text()
    names = ["popularity", "item-knn", "graphmeta", "graphmeta-without-linear"]
    assert main(["--resume", str(folder), "--methods", *names]) == 0
    assert capsys.readouterr().err.count(": popularity") == 1
    cells = {n: pd.read_parquet(folder / f"cells/filmtrust/{n}/seed-0.parquet") for n in names}
    for cell in cells.values():
        assert cell["user"].tolist() == cells["popularity"]["user"].tolist()
        assert (cell["shown"] >= 4).all()
    assert cells["graphmeta"]["ndcg@10"].mean() > cells["popularity"]["ndcg@10"].mean()
    report = (folder / "report.md").read_text()
    for name in names:
        mean = cells[name]["ndcg@10"].mean()
        assert f"{mean:.4f}"[1:] in next(
            line for line in report.splitlines() if line.startswith(f"| {name} |")
        )
    assert "The best baseline is item-knn; *graphmeta* is **" in report
    assert "What the linear part adds:" in report
    few = pd.read_parquet(folder / "cells/filmtrust/graphmeta/seed-0-few.parquet")
    after = few.groupby("k")["ndcg@10"].mean()
    assert f"| graphmeta | **{after[0]:.4f}**".replace("0.", ".") in report


def test_the_report_says_what_is_kept_of_the_best_baseline() -> None:
    rows = [
        ("set", method, 0, user, shown, value * (1 if user else 0.5), value, 7.0)
        for method, value in (("popularity", 0.2), ("ease", 0.5), ("graphmeta", 0.495))
        for user, shown in enumerate((4, 8, 16, 32))
    ]
    columns = ["data", "method", "seed", "user", "shown", "ndcg@10", "recall@20", "seconds"]
    found = pd.DataFrame(rows, columns=columns)
    text = warm_report(found, None, "by hand", 0.75)
    assert "Held-out users show 75% of their items" in text
    assert "4 test users over 1 split, who have shown 12 items at the median" in text
    assert "| ease | **.4375** | **.5000** | 7 |" in text
    assert "The best baseline is ease; *graphmeta* is **within 2%** of it" in text
    assert "on fewer than 3 splits, so that nothing is claimed. By how much" in text
    thrice = pd.concat([found.assign(seed=seed) for seed in range(3)])
    assert "claimed" not in warm_report(thrice, None, "by hand", 0.75)
    assert "| 1 to 32 | 4 | .4331 | .4375 | -0.0044 |" in text
    assert "| 1 to 7 | 1 | .2475 | .2500 | -0.0025 |" in text
    begun = pd.concat([found, found[found["method"] == "ease"].assign(seed=1)])
    left_out = "Left out, as not all of these methods have ranked them: splits 1.\n\n"
    assert left_out in (with_begun := warm_report(begun, None, "by hand", 0.75))
    assert with_begun.replace(left_out, "") == text
    noted = warm_report(found, None, "by hand", 0.75, notes=["ease: at the edge"])
    assert "\n- ease: at the edge\n" in noted
    apart = pd.concat([found[:4], found[4:8].assign(seed=1)])
    assert "No split has been ranked by all" in warm_report(apart, None, "by hand", 0.75)
    worse = found.assign(**{"ndcg@10": found["ndcg@10"].where(found["method"] == "ease", 0.1)})
    assert "**not within 2%** of it" in warm_report(worse, None, "by hand", 0.75)


def test_what_cannot_be_run(capsys: pytest.CaptureFixture[str], root: Path) -> None:
    for line, message in (
        (["--methods", "nothing"], "there is no 'nothing'"),
        (["--share", "1"], "share"),
        (["--data", "nowhere"], "nowhere"),
    ):
        assert main([*line, "--data-root", str(root)]) == 2
        assert message in capsys.readouterr().err
