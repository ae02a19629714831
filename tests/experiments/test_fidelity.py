"""The fidelity of explanations on planted users."""

from pathlib import Path

import pytest

from graphmeta.data import from_frame, planted_interactions, split_cold_users
from graphmeta.experiments.fidelity import CHOICES, changes, main
from graphmeta.ranking import ColdStartRecommender


def test_the_most_effective_changes_most() -> None:
    graph = from_frame(planted_interactions(), time="time")
    split = split_cold_users(graph, seed=0)
    model = ColdStartRecommender(channels=8, epochs=2, min_steps=1).fit(split.train)
    found = changes(model, split, k=3, n_users=12)
    assert list(found.columns) == list(CHOICES)
    assert len(found) == 12
    assert found.to_numpy().min() >= 0
    assert found.to_numpy().max() <= 1
    best, _, random, least = found.mean()
    assert best > random > least


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "fidelity.md"
    words = ["--k", "3", "--users", "4", "--seeds", "0", "--epochs", "1", "--out", str(out)]
    assert main(words) == 0
    text = out.read_text()
    assert "Mean of 4 test users" in text
    assert "| one at random |" in text
    assert text.strip() in capsys.readouterr().out


def test_what_cannot_be_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--data", "nowhere"]) == 2
    assert "error: " in capsys.readouterr().err
    for words in (["--k", "0"], ["--users", "0"]):
        assert main(words) == 2
        assert "must be at least 1" in capsys.readouterr().err
