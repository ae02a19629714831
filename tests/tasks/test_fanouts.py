import pytest

from graphmeta.errors import ConfigError
from graphmeta.tasks.fanouts import resolve_fanouts

RATES, REV = ("user", "rates", "item"), ("item", "rev_rates", "user")


def test_one_list_serves_every_edge_type():
    assert resolve_fanouts([3, -1], [RATES, REV]) == {RATES: [3, -1], REV: [3, -1]}


def test_a_mapping_is_taken_as_it_is():
    assert resolve_fanouts({REV: (0, 2), RATES: [1, 4]}, [RATES, REV]) == {
        RATES: [1, 4],
        REV: [0, 2],
    }


@pytest.mark.parametrize("bad", [[], [1.5], [-2], [True], "12", 3, [None]])
def test_bad_values_are_refused(bad):
    with pytest.raises(ConfigError, match="list of integers"):
        resolve_fanouts(bad, [RATES])


def test_bad_mappings_are_refused():
    with pytest.raises(ConfigError, match=r"missing: .*rev_rates"):
        resolve_fanouts({RATES: [1]}, [RATES, REV])
    with pytest.raises(ConfigError, match=r"unknown: .*rev_rates"):
        resolve_fanouts({RATES: [1], REV: [1]}, [RATES])
    with pytest.raises(ConfigError, match="same length"):
        resolve_fanouts({RATES: [1], REV: [1, 2]}, [RATES, REV])
