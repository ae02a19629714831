from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from graphmeta.data import power_law
from graphmeta.data.power_law import write_power_law
from graphmeta.errors import ConfigError

SIZES = {"num_users": 500, "num_items": 200, "num_edges": 25_000}


def test_shares_fall_with_the_rank(tmp_path: Path) -> None:
    (file,) = write_power_law(tmp_path, **SIZES)
    frame = pd.read_parquet(file)
    assert len(frame) == 25_000
    for name, size, exponent in (("user", 500, 0.4), ("item", 200, 0.6)):
        count = frame[name].value_counts().to_numpy()
        assert len(count) > 0.99 * size
        # The first tenth of the ranks holds 0.1 ** (1 - exponent) of all.
        first = count[: size // 10].sum() / count.sum()
        assert first == pytest.approx(0.1 ** (1 - exponent), abs=0.03)


def test_files_are_the_same_each_time_and_an_interrupted_call_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(power_law, "ROWS_PER_FILE", 10_000)
    files = write_power_law(tmp_path / "one", **SIZES, seed=3)
    assert [len(pd.read_parquet(file)) for file in files] == [10_000, 10_000, 5_000]
    content = [file.read_bytes() for file in files]
    files[1].unlink()
    files[0].write_bytes(b"kept as it is")
    again = write_power_law(tmp_path / "one", **SIZES, seed=3)
    assert [file.read_bytes() for file in again] == [b"kept as it is", *content[1:]]
    other = write_power_law(tmp_path / "two", **SIZES, seed=4)
    pairs = [pd.read_parquet(file)["user"].to_numpy() for file in (files[1], other[1])]
    assert not np.array_equal(*pairs)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"num_users": 0}, "must be at least 1"),
        ({"user_exponent": -0.1}, r"user_exponent=-0.1 must lie between 0 and 1"),
        ({"item_exponent": 1.0}, r"item_exponent=1.0 must lie"),
    ],
)
def test_bad_options(tmp_path: Path, options: dict[str, float], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        write_power_law(tmp_path / "none", **{**SIZES, **options})  # type: ignore[arg-type]
    assert not (tmp_path / "none").exists()
