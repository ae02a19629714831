"""The comparison of devices and precisions."""

from __future__ import annotations

from pathlib import Path

import pytest

from graphmeta.experiments.devices import main


def test_the_command_compares_two_precisions(tmp_path: Path) -> None:
    words = ["--k", "3", "--seeds", "0", "--epochs", "2", "--channels", "16"]
    assert main([*words, "--out", str(tmp_path / "report.md")]) == 0
    text = (tmp_path / "report.md").read_text()
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| cpu")]
    assert [row[0] for row in rows] == ["cpu, float32", "cpu, bfloat16"] * 2
    whole, mixed = rows[:2]
    assert whole[2] == "1.0"  # Times as fast as itself.
    assert whole[-1] == mixed[-1] == "0"  # Scored on one device.
    losses = [float(row[-2]) for row in (whole, mixed)]
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], abs=0.05)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--epochs", "1"], "epochs=1 must be at least 2"),
        (["--sides", "abacus"], "device='abacus' cannot be used"),
        (["--sides", "cpu", "cpu/float32"], "names one twice; leave it out"),
        (["--epochs", "2", "--k", "99"], "99"),
        (["--sides", "cpu/float3"], "precision='float3' must be one of"),
    ],
)
def test_what_cannot_be_run(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "--seeds", "0"]) == 2
    assert message in capsys.readouterr().err
