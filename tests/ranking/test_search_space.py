from __future__ import annotations

from typing import Any

import pytest

from graphmeta.errors import ConfigError
from graphmeta.ranking.baselines import Popularity
from graphmeta.ranking.search_space import Axis, SearchSpace


@pytest.mark.parametrize(
    ("axis", "low", "high"),
    [
        (Axis((2, 20, 200), extend="geometric", low=1), 1, 2000),
        (Axis((1, 10), extend="geometric"), None, 100),
        (Axis((4, 10, 25), extend="geometric"), 2, 62),
        (Axis((1.0, 10.0), extend="geometric"), 0.1, 100.0),
        (Axis((0.0, 1.0, 4.0), extend="geometric"), None, 16.0),
        (Axis((0.1, 0.2, 0.3), extend="linear"), 0.0, 0.4),
        (Axis((1.0, 2.0, 3.0), extend="linear", low=0.5, high=3.0), 0.5, None),
        (Axis((8, 16, 32), extend="geometric", low=1, high=50), 4, 50),
        (Axis(("a", "b")), None, None),
    ],
)
def test_a_grid_goes_on_by_its_own_step(axis: Axis, low: Any, high: Any) -> None:
    below, above = axis.beyond(axis.values, "low"), axis.beyond(axis.values, "high")
    assert (below, above) == (low, high)
    # Whole numbers stay whole.
    assert {type(v) for v in (below, above)} <= {type(axis.values[0]), type(None)}


def test_zero_the_lowest_that_makes_sense_and_kinds_end_by_nature() -> None:
    axis = Axis((0.0, 1.0, 10.0), extend="geometric", high=10.0)
    assert axis.is_natural_end(0.0)
    assert not axis.is_natural_end(10.0)
    layers = Axis((1, 2, 3), extend="linear", low=1)
    assert layers.is_natural_end(1)
    assert not layers.is_natural_end(2)
    assert Axis(("a", "b")).is_natural_end("b")
    assert not Axis((0.0, 1.0), extend="linear").is_natural_end(0.0)


def test_the_search_starts_in_the_middle_or_as_told() -> None:
    assert Axis((1, 2, 3)).first == 2
    assert Axis((0.0, 2.0, 3.0), start=0.0).first == 0.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"values": ()}, "distinct and at least one"),
        ({"values": (1, 1)}, "distinct and at least one"),
        ({"values": (1,), "extend": "linear"}, "two or more, increasing"),
        ({"values": (2, 1), "extend": "linear"}, "two or more, increasing"),
        ({"values": (-1, 1), "extend": "geometric"}, "no ratio"),
        ({"values": (0, 1), "extend": "geometric"}, "no ratio"),
        ({"values": (1, 2), "extend": "cubic"}, "must be 'geometric', 'linear' or None"),
        ({"values": (1, 2), "extend": "linear", "high": 1}, "outside low=None to high=1"),
        ({"values": (1, 2), "start": 3}, "start=3 is not among"),
    ],
)
def test_bad_axes(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Axis(**options)


def test_an_axis_has_one_kind() -> None:
    with pytest.raises(ConfigError, match=r"\['a'\] are fit-time and score-time"):
        SearchSpace(Popularity, fit_time={"a": Axis((1,))}, score_time={"a": Axis((1,))})
