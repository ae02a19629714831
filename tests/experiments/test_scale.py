from __future__ import annotations

import json
from pathlib import Path

import pytest

from graphmeta.experiments import scale, scale_sampling


def test_a_small_run_leaves_a_report_and_goes_on_where_it_stopped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(scale_sampling, "measure", stopped)
        with pytest.raises(KeyboardInterrupt):
            scale.main(["--small", "--out", str(out)])
    built = {path: path.stat().st_mtime_ns for path in out.glob("ingest-*.json")}
    assert len(built) == 3
    assert scale.main(["--resume", str(out)]) == 0
    assert {path: path.stat().st_mtime_ns for path in built} == built
    report = (out / "report.md").read_text()
    found = json.loads((out / "sampling.json").read_text())
    for side, of_size in found["milliseconds"].items():
        assert f"| {side} |" in report
        assert all(one["median"] > 0 for one in of_size.values())
    drawn = found["edges_drawn"]
    assert drawn["apart"] == drawn.get("apart, without numba", drawn["apart"])
    for size in ("20000", "60000", "200000"):  # 1,024 seeds, ten neighbours each, and theirs.
        assert 1024 * 10 * 5 < drawn["apart"][size] <= 1024 * 110
    (largest,) = (json.loads((out / "ingest-200000-edges.json").read_text()),)
    assert 150_000 < largest["edges"] < 200_000
    assert 0 < largest["appended"] <= 2000
    assert f"| {largest['edges']:,} |" in report
    (arrays,) = (line for line in report.splitlines() if line.startswith("| arrays, MiB |"))
    assert abs(int(arrays.split("|")[5].split()[0])) < 20
    trained = json.loads((out / "training.json").read_text())
    for size, of_size in trained["sizes"].items():
        assert 0.7 * int(size) < of_size["edges"] < int(size)
        assert len(of_size["losses"]) == 3
        assert of_size["peak_mib"] >= of_size["graph_mib"] > 100
        assert f"| {of_size['edges']:,} | {of_size['users']:,} |" in report
    assert "| peak of training, MiB |" in report
    assert scale.main(["--small", "--out", str(out)]) == 2
    assert "already holds files" in capsys.readouterr().err
