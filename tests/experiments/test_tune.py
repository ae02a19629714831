"""The search for settings on a small file."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from graphmeta.data import planted_interactions
from graphmeta.errors import DistributedError
from graphmeta.experiments import tune
from graphmeta.ranking import ColdStartRecommender


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    path = tmp_path / "ratings.csv"
    planted_interactions(120, 60).to_csv(path, index=False)
    out = str(tmp_path / "study")
    return ["--interactions", str(path), "--time-col", "time", "--epochs", "1", "--out", out]


def test_it_starts_from_the_defaults_and_goes_on(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tune.main([*words, "--trials", "1"]) == 0
    first = capsys.readouterr().out
    best = json.loads((tmp_path / "study" / tune.BEST).read_text())
    params = ColdStartRecommender().get_params()
    assert best["settings"] == {name: params[name] for name in tune.CHOICES}
    assert first.startswith("0: ")
    assert tune.main([*words, "--trials", "3"]) == 0
    shown = capsys.readouterr().out
    assert [line.split(":")[0] for line in shown.splitlines()[:2]] == ["1", "2"]
    better = json.loads((tmp_path / "study" / tune.BEST).read_text())
    assert better["validation ndcg@10"] >= best["validation ndcg@10"]
    ColdStartRecommender(**better["settings"])
    # Nothing is left to do.
    assert tune.main([*words, "--trials", "3"]) == 0
    assert capsys.readouterr().out.startswith("NDCG@10 of validation users")


def test_a_study_in_parts_tries_other_settings_each_time(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[dict[str, Any]] = []

    def figure(splits: Any, epochs: int, found: dict[str, Any]) -> float:
        tried.append(dict(found))
        return 0.5

    monkeypatch.setattr(tune, "_figure", figure)
    for total in ("3", "5", "7", "9"):
        assert tune.main([*words, "--trials", total]) == 0
    assert len({repr(sorted(found.items())) for found in tried}) == len(tried) == 9


def test_workers_are_given_as_many_trials_as_they_are(
    words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds: list[int] = []

    # Ray itself is tested in tests/cluster; here its workers are this process.
    @contextlib.contextmanager
    def here(function: Any, *shared: Any, workers: int) -> Iterator[Any]:
        assert workers == 2
        splits, epochs = shared
        assert ([split.seed for split in splits], epochs) == ([0], 1)

        def run(items: Any) -> list[float]:
            rounds.append(len(items))
            if rounds == [2]:
                raise DistributedError("processes died")
            return [float(item["lr"]) for item in items]

        yield run

    monkeypatch.setattr(tune, "side_by_side", here)
    assert tune.main([*words, "--trials", "3", "--workers", "2"]) == 2
    assert "processes died" in capsys.readouterr().err
    # The same again goes on, and does not forget the defaults, which were among the lost.
    assert tune.main([*words, "--trials", "3", "--workers", "2"]) == 0
    assert rounds == [2, 2, 1]
    assert f"{ColdStartRecommender().lr:.4f} by the defaults" in capsys.readouterr().out


def test_a_trial_is_the_mean_of_the_splits(monkeypatch: pytest.MonkeyPatch) -> None:
    def fit(self: ColdStartRecommender, *_: Any) -> None:
        assert (self.epochs, self.item_start) == (4, None)
        self.validation_scores = [self.lr, 0.1 * self.seed]

    monkeypatch.setattr(ColdStartRecommender, "fit", fit)
    splits: Any = [SimpleNamespace(seed=seed, train=None, validation=None) for seed in (2, 5)]
    assert tune._figure(splits, 4, {"lr": 0.3, "item_start": "by size"}) == pytest.approx(0.4)


def test_the_defaults_are_among_the_choices() -> None:
    for name, value in tune._defaults().items():
        assert value in tune.CHOICES[name]


def test_another_study_s_folder_is_refused(
    words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fit(self: ColdStartRecommender, *_: Any) -> None:
        self.validation_scores = [0.5]

    monkeypatch.setattr(ColdStartRecommender, "fit", fit)
    assert tune.main([*words, "--trials", "1"]) == 0
    assert tune.main([*words, "--trials", "2", "--seeds", "1"]) == 2
    assert "other interactions, seeds or epochs; choose another --out" in capsys.readouterr().err


def test_bad_input(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert tune.main([*words, "--trials", "0"]) == 2
    assert tune.main([*words, "--workers", "-1"]) == 2
    assert tune.main(["--interactions", "none.csv"]) == 2
    assert "none.csv" in capsys.readouterr().err
