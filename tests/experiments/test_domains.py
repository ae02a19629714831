"""Users known in other domains: the years of films stand for domains."""

from pathlib import Path

import pandas as pd
import pytest

from graphmeta.experiments.domains import main
from graphmeta.experiments.domains_report import domains_report

SMALL = [
    *("--data", "movielens-small", "--domain", "year", "--targets", "1995.0", "--seeds", "0"),
    *("--k", "0", "1", "--epochs", "1", "--min-count", "20"),
]


def test_the_command_goes_on_where_it_stopped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    assert main([*SMALL, "--methods", "popularity", "--out", str(folder)]) == 0
    assert "popularity" in capsys.readouterr().err
    names = ["popularity", "all-domains-user-knn", "all-domains-graphmeta"]
    assert main(["--resume", str(folder), "--methods", *names]) == 0
    words = capsys.readouterr().err
    assert "all-domains-user-knn" in words
    assert ": popularity" not in words
    report = (folder / "report.md").read_text()
    assert "## Domain 1995.0" in report
    for name in names:
        assert f"| {name} |" in report
    # What a user did in other domains tells before anything is shown in this one.
    cells = {
        name: pd.read_parquet(folder / f"cells/1995.0/{name}/seed-0.parquet") for name in names
    }
    at_none = {name: c[c["k"] == 0]["ndcg@10"].mean() for name, c in cells.items()}
    assert at_none["all-domains-user-knn"] > at_none["popularity"]


def test_the_report_pairs_an_arrival_with_itself() -> None:
    rows = [
        (target, method, 0, user, k, base + (0.1 if method.endswith("graphmeta") else 0.0))
        for k in (1, 0)
        for target in ("a", "b")
        for method in ("all-domains-ease", "all-domains-graphmeta")
        for user, base in (("ann", 0.2), ("bob", 0.6))
    ]
    table = pd.DataFrame(rows, columns=["target", "method", "seed", "user", "k", "ndcg@10"])
    text = domains_report(table, "by hand")
    assert "4 arrivals of 2 users in 2 domains" in text
    assert "| all-domains-ease | 1 | +0.1000 | +0.1000 to +0.1000 |" in text
    assert "| method | k = 0 | k = 1 |" in text
    assert "| all-domains-graphmeta | **.5000** | **.5000** |" in text


def test_what_cannot_be_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SMALL[:-2], "--methods", "nothing"]) == 2
    assert "there is no 'nothing'" in capsys.readouterr().err
    assert main(["--data", "movielens-small", "--domain", "maker"]) == 2
    assert "no column 'maker'" in capsys.readouterr().err
