from __future__ import annotations

import numpy as np
import pytest

from graphmeta.errors import ConfigError
from graphmeta.ranking.bootstrap import BLOCK, bootstrap_interval, draw_blocks


def test_interval_covers_the_truth_nineteen_times_in_twenty() -> None:
    rng = np.random.default_rng(0)
    samples = rng.beta(0.4, 1.2, size=(150, 600))  # skewed, mean .25; one sample a column
    lower, upper = bootstrap_interval(samples, seed=1)
    covered = ((lower <= 0.25) & (upper >= 0.25)).mean()
    # 600 trials at .95 have a standard error of .009; percentile intervals fall a bit short.
    assert 0.915 < covered < 0.975
    standard_error = samples.std(axis=0) / np.sqrt(150)
    assert np.median((upper - lower) / standard_error) == pytest.approx(2 * 1.96, rel=0.03)


def test_a_plain_loop_gives_the_same_interval() -> None:
    rng = np.random.default_rng(3)
    values = rng.normal(size=(60, 1))
    means = [values[rng.integers(0, 60, 60)].mean() for _ in range(20_000)]
    lower, upper = bootstrap_interval(values, n_draws=20_000)
    assert [lower[0], upper[0]] == pytest.approx(list(np.quantile(means, [0.025, 0.975])), abs=0.02)


def test_users_with_several_values_stay_together() -> None:
    values = np.random.default_rng(0).normal(size=(80, 1))
    alone = bootstrap_interval(values)
    # The same value five times over tells no more about the users.
    assert np.allclose(alone, bootstrap_interval(5 * values, np.full((80, 1), 5.0)))


def test_a_column_that_only_some_users_have() -> None:
    sums, counts = np.array([[4.0], [0.0]]), np.array([[1.0], [0.0]])
    assert np.allclose(bootstrap_interval(sums, counts), 4.0)


def test_draws_come_in_blocks_and_from_the_seed() -> None:
    assert list(draw_blocks(10, BLOCK // 4)) == [4, 4, 2]
    assert list(draw_blocks(2, 10 * BLOCK)) == [1, 1]
    values = np.random.default_rng(0).normal(size=(40, 2))
    assert np.array_equal(bootstrap_interval(values), bootstrap_interval(values))
    assert not np.array_equal(bootstrap_interval(values), bootstrap_interval(values, seed=1))
    with pytest.raises(ConfigError, match="n_draws=0 is below 1"):
        bootstrap_interval(values, n_draws=0)
