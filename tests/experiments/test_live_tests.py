"""The command that simulates live tests."""

from pathlib import Path

import pytest

from graphmeta.experiments import live_tests
from graphmeta.experiments.live_tests import main


def test_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_tests, "SIZES", [50, 100])
    out = tmp_path / "live.md"
    words = ["--seeds", "0", "--epochs", "0", "--logs", "2", "--users", "40", "80"]
    assert main([*words, "--sessions", "200", "--tests", "20", "--out", str(out)]) == 0
    text = out.read_text()
    assert text.strip() in capsys.readouterr().out
    for line in (
        "| the same model, 40 |",
        "| an older model, 80 |",
        "| popularity |",
        "always valid",
    ):
        assert line in text
    assert {path.name for path in tmp_path.iterdir()} == {"live.md", "live.png", "live-power.png"}


def test_what_cannot_be_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--data", "nowhere"]) == 2
    for words in (["--logs", "1"], ["--users", "1"], ["--sessions", "0"], ["--tests", "1"]):
        assert main(words) == 2
        assert "must be at least 2" in capsys.readouterr().err
