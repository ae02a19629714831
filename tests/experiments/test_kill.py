"""A service that is killed at any moment loses nothing that it acknowledged."""

from pathlib import Path

import pytest

from graphmeta.data import from_frame, planted_interactions
from graphmeta.errors import ProtocolError
from graphmeta.experiments import kill as killing
from graphmeta.ranking import ColdStartRecommender
from graphmeta.serve import ServedModel
from graphmeta.serve.store import Store


@pytest.fixture(autouse=True)
def slow_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let services live long enough to answer where other tests share the machine."""
    monkeypatch.setattr(killing, "LONGEST", 2.0)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundle") / "film.gm"
    ColdStartRecommender(channels=8, epochs=0).fit(from_frame(planted_interactions())).save(path)
    return path


def test_nothing_is_lost(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "kill.md"
    assert killing.main([str(bundle), "--kills", "12", "--clients", "4", "--out", str(out)]) == 0
    said = out.read_text()
    assert said.strip() in capsys.readouterr().out
    assert "| sqlite | 12 | " in said
    assert said.strip().endswith("| 0 |")


def test_what_is_missing_is_found(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = f"sqlite:///{tmp_path / 'kill.db'}"
    # A store that says yes and keeps nothing of one in three.
    record = Store.record

    def forgetful(store: Store, user: str, new: list) -> None:  # type: ignore[type-arg]
        if int(new[0].item.split("-")[0]) % 3:
            record(store, user, new)

    monkeypatch.setattr(Store, "record", forgetful)
    toll = killing.kill(ServedModel.load(bundle), database, kills=6, clients=2)
    assert toll.lost
    assert all(int(item.split("-")[0]) % 3 == 0 for _, item in toll.lost)


def test_kills_that_show_nothing_are_told(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(killing, "PATIENCE", 0.2)
    with pytest.raises(ProtocolError, match=r"0 events were acknowledged .* kill more often"):
        killing.kill(ServedModel.load(bundle), f"sqlite:///{tmp_path / 'kill.db'}", kills=0)
