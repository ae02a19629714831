"""The protocols of published tables."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch

from graphmeta.data import Support, from_frame, planted_interactions
from graphmeta.errors import DataError
from graphmeta.experiments import liked_recommender, rerating
from graphmeta.experiments.liked_recommender import LikedRecommender
from graphmeta.experiments.rerating import PROTOCOLS, Protocol, main
from graphmeta.experiments.rerating_report import rerating_report
from graphmeta.ranking import ColdStartRecommender


@pytest.fixture
def root(
    planted_root: Path,
    quick_recommender: Callable[..., ColdStartRecommender],
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """The planted set, of which a publisher has put every fifth user apart."""
    monkeypatch.setattr(liked_recommender, "ColdStartRecommender", quick_recommender)
    protocols = {
        "by-user": Protocol("filmtrust", "better-half-ndcg@5"),
        "by-part": Protocol("filmtrust", "ndcg@5", True, ("part", "training")),
    }
    monkeypatch.setattr(rerating, "PROTOCOLS", protocols)
    path = planted_root / "filmtrust" / "interactions.parquet"
    table = pd.read_parquet(path)
    table["part"] = (table["user"] % 5 == 0).map({True: "user_cold", False: "training"})
    table.to_parquet(path)
    return planted_root


def test_the_command_goes_on_where_it_stopped(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    small = ["--data-root", str(root), "--seeds", "0", "--protocols", "by-user", "--epochs", "2"]
    small += ["--recommender-epochs", "1", "--methods", "chance", "--out", str(folder)]
    assert main(small) == 0
    names = ["chance", "item-mean", "recommender-of-likes", "tanp", "rating-ridge"]
    more = ["--resume", str(folder), "--protocols", "by-user", "by-part", "--methods", *names]
    assert main(more) == 0
    assert capsys.readouterr().err.count("by-user, seed 0: chance") == 1
    report = (folder / "report.md").read_text()
    assert report.count("| method | user_cold |") == 3
    for name in names:
        assert report.count(f"| {name} |") >= 6
    cells = {n: pd.read_parquet(folder / f"cells/by-part/{n}/seed-0.parquet") for n in names}
    mean = {name: cell["ndcg@5"].mean() for name, cell in cells.items()}
    assert mean["rating-ridge"] > mean["item-mean"] > mean["chance"]
    # Methods are compared on the splits that all have.
    assert main(["--resume", str(folder), "--seeds", "0", "1", "--methods", "chance"]) == 0
    assert (folder / "cells/by-part/chance/seed-1.json").is_file()
    assert (folder / "report.md").read_text().count("over 1 splits") == 2
    half = cells["chance"]["better-half-ndcg@5"]
    assert half.to_numpy() == pytest.approx(0.5)


def test_what_is_not_known_is_said(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--data-root", str(root), "--protocols", "metahin"]) == 2
    assert "there is no 'metahin'; known protocols: by-user, by-part" in capsys.readouterr().err


def test_protocols_name_data_sets_with_ratings() -> None:
    from graphmeta.data import named_sets

    rated = {entry.name for entry in named_sets() if entry.rating}
    assert {protocol.data for protocol in PROTOCOLS.values()} <= rated


def test_likes_are_what_the_recommender_sees(
    quick_recommender: Callable[..., ColdStartRecommender], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(liked_recommender, "ColdStartRecommender", quick_recommender)
    graph = from_frame(planted_interactions(), rating="rating")
    model = LikedRecommender(epochs=1, seed=0).fit(graph)
    rated = Support(torch.tensor([[4, 9, 2]]), torch.tensor([[1.0, 5, 4]]))
    alone = Support(torch.tensor([[9, 2]]), torch.tensor([[5.0, 4]]))
    torch.testing.assert_close(model.score(rated), model.score(alone))
    with pytest.raises(DataError, match="told by ratings"):
        model.score(Support(torch.tensor([[4]])))


def test_the_report_compares_by_part() -> None:
    rows = [
        ("p", part, method, 0, user, base, base, base)
        for method, base in (("item-mean", 0.5), ("rating-ridge", 0.6))
        for part in ("user_cold", "item_cold")
        for user in range(20)
    ]
    metrics = ["ndcg@5", "better-half-ndcg@5", "better-half-precision@5"]
    columns = ["protocol", "part", "method", "seed", "user", *metrics]
    report = rerating_report(pd.DataFrame(rows, columns=columns), {"p": metrics[0]}, "- by hand")
    assert "Rows of users over 1 splits: 20 item_cold, 20 user_cold." in report
    assert "| item-mean | item_cold | +0.1000 | +0.1000 to +0.1000 | .0002 |" in report
    assert report.index("NDCG@5 with the ratings as gains:") < report.index("NDCG@5 of the five")
