"""The exploration experiment on little data."""

from pathlib import Path

import pandas as pd
import pytest
import torch

from graphmeta.data import ColdSplit, from_frame, planted_interactions, split_cold_users
from graphmeta.experiments import exploration
from graphmeta.experiments.exploration import main
from graphmeta.experiments.exploration_report import _table
from graphmeta.ranking import ColdStartRecommender


@pytest.fixture
def is_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted users, few rounds and strengths."""
    split = split_cold_users(from_frame(planted_interactions(), time="time"), seed=0)
    model = ColdStartRecommender(channels=8, epochs=1, min_steps=1).fit(split.train)
    found: list[tuple[ColdSplit, ColdStartRecommender]] = [(split, model)]
    monkeypatch.setattr(exploration, "fitted_splits", lambda _: iter(found))
    monkeypatch.setattr(exploration, "SESSIONS", {5: 2, 1: 3})
    monkeypatch.setattr(exploration, "STRENGTHS", {"thompson": (0.5,), "ucb": (1.0, 3.0)})


@pytest.mark.usefixtures("is_small")
def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "found.md"
    assert main(["--k", "0", "1", "--users", "12", "--out", str(out)]) == 0
    text = out.read_text()
    assert text.strip() in capsys.readouterr().out
    for line in (
        "## 2 rounds of 5",
        "## 3 rounds of 1",
        "| oracle |",
        "| thompson |",
        "| guessed |",
    ):
        assert line in text
    for name in ("regret", "reliability"):
        picture = tmp_path / f"found-{name}.png"
        assert f"]({picture.name})" in text
        assert picture.stat().st_size > 10_000


def test_differences_are_paired_by_user() -> None:
    rows = [
        ("a", 0, "greedy", 3.0), ("b", 0, "greedy", 1.0),
        ("a", 0, "ucb", 4.0), ("b", 0, "ucb", 2.0),
    ]  # fmt: skip
    after = pd.DataFrame(rows, columns=["user", "seed", "policy", "n_taken"]).assign(
        k=1, n_oracle=5
    )
    table = _table(after, "n_taken", "greedy", 2)
    assert "| ucb | 3.00 (+1.00, +1.00 to +1.00) |" in table
    assert "| oracle | 5.00 |" in table


def test_the_first_users_are_taken() -> None:
    split = split_cold_users(from_frame(planted_interactions(), time="time"), seed=0)
    some = exploration._first(split.test, 3)
    assert torch.equal(some.first.item_index, split.test.first.item_index[:3])
    assert len(exploration._first(split.test, 10_000)) == len(split.test)


def test_what_cannot_be_run(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--users", "0"], ["--k", "0", "3"]):
        assert main(words) == 2
        assert "--k hold 1" in capsys.readouterr().err
