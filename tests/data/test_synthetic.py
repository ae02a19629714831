import pytest

from graphmeta.data.synthetic import planted_interactions
from graphmeta.errors import ConfigError


def test_same_seed_same_table_and_groups_prefer_their_items():
    table = planted_interactions(seed=3)
    assert table.equals(planted_interactions(seed=3))
    assert not table.duplicated(["user", "item"]).any()
    assert table["time"].is_monotonic_increasing
    own = table["user"].str[1:].astype(int) % 4 == table["item"].str[1:].astype(int) % 4
    assert own.mean() > 0.4  # 0.25 by chance.
    assert (table["rating"][own] >= 4).all()
    assert (table["rating"][~own] <= 3).all()


def test_impossible_sizes_are_refused():
    with pytest.raises(ConfigError, match="not below the 10 items"):
        planted_interactions(n_items=10, per_user=10)
