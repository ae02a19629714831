import pytest

from graphmeta.experiments.cost_model import Line


def test_a_line_goes_through_costs_that_lie_on_one() -> None:
    edges = [10**6, 10**7, 10**8]
    line = Line.through(edges, [3 + 2 * n / 1e6 for n in edges])
    assert (line.fixed, line.per_million) == pytest.approx((3, 2))
    assert line.at(10**9) == pytest.approx(2003)


def test_small_costs_count_as_much_as_large_ones() -> None:
    line = Line.through([10**6, 10**7, 10**8], [2.0, 10.0, 110.0])
    errors = [line.at(n) / cost - 1 for n, cost in ((10**6, 2), (10**7, 10), (10**8, 110))]
    assert max(map(abs, errors)) < 0.1
