"""The bulk experiment compares what its runs write."""

import signal
from pathlib import Path
from typing import Any

import pytest

from graphmeta.bulk import rank_in_bulk
from graphmeta.data import from_frame, planted_interactions
from graphmeta.errors import ProtocolError
from graphmeta.experiments import bulk
from graphmeta.ranking import ColdStartRecommender

# Ray itself is tested in tests/bulk; here its workers are this process.
RANK = rank_in_bulk


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundle") / "film.gm"
    ColdStartRecommender(channels=8, epochs=0).fit(from_frame(planted_interactions())).save(path)
    return path


def test_the_runs_are_compared(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed: list[int] = []

    def rank(*args: Any, workers: int, **options: Any) -> Any:
        report = RANK(*args, workers=0, **options)
        if killed:  # As if a kill had changed something.
            (report.folder / "part-00001.parquet").write_bytes(b"other")
        return report

    monkeypatch.setattr(bulk, "rank_in_bulk", rank)
    monkeypatch.setattr("os.kill", lambda pid, number: killed.append(number))
    call = [str(bundle), "--users", "180", "--part-users", "18", "--out", str(tmp_path / "b.md")]
    assert bulk.main(call) == 1
    assert killed == [signal.SIGKILL]
    said = (tmp_path / "b.md").read_text()
    assert "| 2 | 1 | 180 | " in said
    assert "Scaling efficiency t1 / (2 t2): " in said
    assert "The 10 parts are not the same: part-00001.parquet.\n" in said


def test_the_report_says_how_well_it_scales() -> None:
    parts = {"part-00000.parquet": b"x"}
    one = bulk.BulkRun(1, 0, 10.0, 8.0, 100, 0.8, parts)
    two = bulk.BulkRun(2, 0, 6.0, 5.0, 100, 0.8, parts)
    assert (one.rate, two.rate) == (10.0, 16.0)
    said = bulk._told([one, two, two], [])
    assert "t1 / (2 t2): 0.83 all told, 0.80 once the workers" in said
    assert said.endswith("The 1 parts are the same bytes in all runs.")
    assert bulk.differing(one, two) == []
    fewer = bulk.BulkRun(2, 1, 6.0, 5.0, 100, 0.8, {})
    assert bulk.differing(one, fewer) == ["part-00000.parquet"]


def test_too_few_parts_show_nothing(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        bulk, "rank_in_bulk", lambda *args, workers, **options: RANK(*args, workers=0, **options)
    )
    with pytest.raises(ProtocolError, match="1 parts for 1 workers show nothing"):
        bulk.compare(bundle, tmp_path, users=10, part_users=40)
