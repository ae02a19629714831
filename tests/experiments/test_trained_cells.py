"""What the commands over data sets say to input that cannot work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from graphmeta.errors import DataError
from graphmeta.experiments import ablation, learners
from graphmeta.experiments.run_folder import RunFolder
from graphmeta.experiments.trained_cells import finished_frame, write_cell

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


def test_methods_without_a_split_in_common_are_told(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    for method, seed in (("one", 0), ("other", 1)):
        place = f"cells/set/{method}/seed-{seed}"
        write_cell(folder, place, lambda: pd.DataFrame({"user": [1], "ndcg@10": [0.5]}))
    with pytest.raises(DataError, match="finished by all methods"):
        finished_frame(folder, ("one", "other"))
