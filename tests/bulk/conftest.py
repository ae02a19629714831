from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from graphmeta.data import from_frame, planted_interactions
from graphmeta.ranking import ColdStartRecommender


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of 100 items, saved."""
    graph = from_frame(planted_interactions(), rating="rating", time="time")
    path = tmp_path_factory.mktemp("bundle") / "film.gm"
    ColdStartRecommender(channels=8, epochs=0, batch_size=16).fit(graph).save(path)
    return path


@pytest.fixture(scope="session")
def table(bundle: Path) -> pd.DataFrame:
    """Interactions of 300 new users, in no order."""
    ids = ColdStartRecommender.load(bundle).item_ids.ids
    draw = np.random.default_rng(0)
    sizes = draw.integers(1, 9, 300)
    columns = {
        "user": np.repeat([f"u{n}" for n in range(300)], sizes),
        "item": draw.choice(ids, sizes.sum()),
        "rating": draw.integers(1, 6, sizes.sum()).astype(float),
        "time": draw.random(sizes.sum()) * 1e6,
    }
    return pd.DataFrame(columns).sample(frac=1, random_state=0, ignore_index=True)


@pytest.fixture(scope="session")
def histories(table: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same in three files, over which each user's rows are spread."""
    folder = tmp_path_factory.mktemp("histories")
    for day in range(3):
        table.iloc[day::3].to_parquet(folder / f"day-{day}.parquet", index=False)
    return folder
