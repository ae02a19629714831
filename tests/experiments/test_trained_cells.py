"""What the commands over data sets say to input that cannot work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from graphmeta.experiments import ablation, learners

COMMON = [
    (["--data", "nowhere"], "there is no 'nowhere'; known data: movielens-small"),
    (["--k", "99"], "k=99 is above 10, the largest support of 'movielens-small'; lower --k"),
    (["--resume", "nothing"], "no run to resume"),
    (["--config", "absent.toml"], "no configuration file absent.toml"),
    (["--data", "ml-1m"], "needs the folder that holds it"),
    (["--epochs", "0"], "setting 'epochs': input should be greater than or equal to 1, got"),
]
OWN = [
    (ablation.main, ["--variants", "no-votes"], "no 'no-votes'; known variants: default, no-graph"),
    (learners.main, ["--learners", "mamal"], "there is no 'mamal'; known learners: maml"),
    (learners.main, ["--encoders", "sag"], "there is no 'sag'; known encoders: relation"),
]


@pytest.mark.parametrize(
    ("main", "words", "message"),
    [*((main, *case) for main in (ablation.main, learners.main) for case in COMMON), *OWN],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    main: Callable[[list[str]], int],
    words: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GRAPHMETA_DATA_ROOT", raising=False)
    assert main(words) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
