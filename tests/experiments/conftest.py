from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd
import pytest

from graphmeta.data import planted_interactions
from graphmeta.experiments.coldstart import main
from graphmeta.ranking import ColdStartRecommender

SMALL = "--seeds 0 --methods popularity item-knn unadapted adapted --epochs 2 --channels 8 --quick"


@pytest.fixture(scope="session")
def planted_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of own data: 160 users with 20 interactions each."""
    path = tmp_path_factory.mktemp("data") / "planted.parquet"
    planted_interactions(160, 60, per_user=20).to_parquet(path)
    return path


@pytest.fixture(scope="session")
def own_data(planted_file: Path) -> list[str]:
    """The options that name the planted file and its columns."""
    return f"--interactions {planted_file} --time-col time --rating-col rating".split()


@pytest.fixture(scope="session")
def small_run(own_data: list[str]) -> Callable[..., int]:
    """Runs the command in this process on the planted file, with few methods."""

    def run(out: Path, *more: str) -> int:
        return main([*own_data, *SMALL.split(), "--out", str(out), *more])

    return run


@pytest.fixture(scope="session")
def finished(small_run: Callable[..., int], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that was never interrupted."""
    out = tmp_path_factory.mktemp("runs") / "finished"
    assert small_run(out) == 0
    return out


@pytest.fixture
def planted_root(tmp_path: Path) -> Path:
    """A data root with a small planted set under a known name, "filmtrust"."""
    folder = tmp_path / "data" / "filmtrust"
    folder.mkdir(parents=True)
    table = planted_interactions(skew=0.3)
    table["user"] = table["user"].str[1:].astype(int)
    table[["user", "item", "rating"]].to_parquet(folder / "interactions.parquet")
    return folder.parent


@pytest.fixture
def quick_recommender() -> Callable[..., ColdStartRecommender]:
    """Builds a recommender that trains in a moment."""
    return partial(ColdStartRecommender, channels=4, min_steps=10, num_neighbors=(2, 2))


@pytest.fixture
def table_file(tmp_path: Path) -> Callable[[pd.DataFrame], Path]:
    """Writes a table to a CSV file."""

    def write(frame: pd.DataFrame) -> Path:
        path = tmp_path / "table.csv"
        frame.to_csv(path, index=False)
        return path

    return write
