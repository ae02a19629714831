"""New items of the default set."""

from pathlib import Path

import pytest

from graphmeta.experiments.cold_items import METHODS, main


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "cold_items.md"
    assert main(["--k", "1", "--seeds", "0", "--epochs", "1", "--out", str(out)]) == 0
    text = out.read_text()
    for name in METHODS:
        assert f"| {name} | " in text
    assert "--share" not in text
    assert text.strip() in capsys.readouterr().out


def test_what_cannot_be_run(capsys: pytest.CaptureFixture[str]) -> None:
    for words, reason in (
        (["--k", "0"], "must be at least 1"),
        (["--share", "2"], "share=2.0 must be"),
        (["--data", "nowhere"], "no data set named"),
    ):
        assert main(words) == 2
        assert reason in capsys.readouterr().err
