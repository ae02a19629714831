"""New users whose friends are known: a planted set under a known name."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from graphmeta.experiments import social
from graphmeta.experiments.social import main
from graphmeta.experiments.social_report import social_report
from graphmeta.ranking import ColdStartRecommender


@pytest.fixture
def root(
    planted_root: Path,
    quick_recommender: Callable[..., ColdStartRecommender],
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """The planted set, with links between its users."""
    monkeypatch.setattr(social, "ColdStartRecommender", quick_recommender)
    users = np.arange(200).repeat(3)
    friends = (users + np.tile([4, 8, 12], 200)) % 200
    links = pd.DataFrame({"user": users, "friend": friends})
    links[users % 5 > 0].to_parquet(planted_root / "filmtrust" / "social.parquet")
    return planted_root


def test_the_command_goes_on_where_it_stopped(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    small = ["--data", "filmtrust", "--data-root", str(root), "--seeds", "0", "--k", "0", "1"]
    small += ["--epochs", "1", "--methods", "popularity", "--out", str(folder)]
    assert main(small) == 0
    names = ["popularity", "friend-popularity", "graphmeta-with-links"]
    assert main(["--resume", str(folder), "--methods", *names]) == 0
    words = capsys.readouterr().err
    assert words.count(": popularity") == 1
    report = (folder / "report.md").read_text()
    assert "are linked to a training user, to 3 at the median" in report
    for name in names:
        assert f"| {name} |" in report
    cells = {n: pd.read_parquet(folder / f"cells/filmtrust/{n}/seed-0.parquet") for n in names}
    at_none = {
        name: cell[(cell["k"] == 0) & (cell["n_links"] > 0)]["ndcg@10"].mean()
        for name, cell in cells.items()
    }
    assert at_none["friend-popularity"] > at_none["popularity"]
    assert at_none["graphmeta-with-links"] > at_none["popularity"]
    assert (cells["popularity"]["n_links"] == 0).any()


def test_the_report_tells_users_with_links_from_all() -> None:
    rows = [
        ("set", method, 0, user, 0, n_links, base + (0.1 if method.startswith("graphmeta") else 0))
        for method in ("popularity", "graphmeta-with-links")
        for user, n_links, base in (("ann", 0, 0.2), ("bob", 3, 0.6))
    ]
    columns = ["data", "method", "seed", "user", "k", "n_links", "ndcg@10"]
    text = social_report(pd.DataFrame(rows, columns=columns), "by hand")
    assert "2 test users over 1 splits, of whom 1 are linked to a training user, to 3" in text
    assert "| graphmeta-with-links | **.7000** |" in text
    assert "| graphmeta-with-links | **.5000** |" in text
    assert "| popularity | 0 | +0.1000 |" in text


def test_what_cannot_be_run(capsys: pytest.CaptureFixture[str], root: Path) -> None:
    assert main(["--methods", "nothing"]) == 2
    assert "there is no 'nothing'" in capsys.readouterr().err
    assert main(["--data", "movielens-small", "--data-root", str(root)]) == 2
    assert "the set 'movielens-small' has no social links" in capsys.readouterr().err
