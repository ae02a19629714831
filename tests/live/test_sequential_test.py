"""An always-valid test: its formula, its integral and its false alarms."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from graphmeta.errors import ConfigError, DataError
from graphmeta.live import Look, SequentialTest


def test_by_hand() -> None:
    # d = 1, V = effect^2 = 1: L = sqrt(1/2) exp(1/4).
    reach, p_value = SequentialTest(effect=1.0).bounds(1.0, 1.0)
    assert p_value == pytest.approx(1.0)  # L is .908
    assert reach == pytest.approx(np.sqrt(2 * (np.log(2) + 2 * np.log(20))))
    _, p_value = SequentialTest(effect=1.0).bounds(4.0, 1.0)
    assert p_value == pytest.approx(np.sqrt(2) * np.exp(-4))


def test_the_ratio_is_the_mixture_it_says() -> None:
    d, v, effect = 0.3, 0.01, 0.2
    mixed, _ = quad(
        lambda m: norm.pdf(d, m, np.sqrt(v)) * norm.pdf(m, 0, effect), -2, 2, points=[0, d]
    )
    _, p_value = SequentialTest(effect).bounds(d, v)
    assert p_value == pytest.approx(norm.pdf(d, 0, np.sqrt(v)) / mixed)


def test_the_interval_holds_what_is_not_rejected() -> None:
    test = SequentialTest(effect=0.1, alpha=0.1)
    reach, _ = test.bounds(0.0, 0.002)
    assert test.bounds(reach, 0.002)[1] == pytest.approx(0.1)


def test_a_look() -> None:
    rng = np.random.default_rng(0)
    control, treatment = rng.normal(0, 1, 500), rng.normal(0.5, 1, 400)
    test = SequentialTest(effect=0.3)
    look = test.look(control, treatment)
    variance = control.var(ddof=1) / 500 + treatment.var(ddof=1) / 400
    assert look.difference == pytest.approx(treatment.mean() - control.mean())
    # Wider than one look at a fixed size, for it may be looked at again.
    reach = look.upper - look.difference
    assert 1.96 * np.sqrt(variance) < reach < 4 * np.sqrt(variance)
    assert look.p_value < 0.05
    assert look.lower > 0
    early = test.look(control[:50], treatment)
    assert (early.lower, early.upper, early.p_value) == (-np.inf, np.inf, 1.0)
    flat = test.look(np.ones(200), np.ones(200))
    assert flat == Look(0.0, -np.inf, np.inf, 1.0)


@pytest.mark.parametrize("kind", ["normal", "rare", "skewed"])
def test_it_rarely_cries_wolf_however_often_it_is_looked_at(kind: str) -> None:
    rng = np.random.default_rng(1)
    n_tests, n = 400, 3000
    draw = {
        "normal": lambda: rng.normal(size=(n_tests, n)),
        "rare": lambda: (rng.random((n_tests, n)) < 0.05).astype(float),
        "skewed": lambda: rng.exponential(size=(n_tests, n)) ** 1.5,
    }[kind]
    count = np.arange(1, n + 1)
    gap, variance = 0.0, 0.0
    for sign in (1, -1):
        arm = draw()
        mean = arm.cumsum(axis=1) / count
        gap = gap + sign * mean
        variance = variance + ((arm**2).cumsum(axis=1) / count - mean**2) / np.maximum(count - 1, 1)
    test = SequentialTest(effect=0.1)
    _, p_value = test.bounds(gap, variance)
    looked = count >= test.min_users
    alarms = ((p_value <= 0.05) & looked).any(axis=1).mean()
    assert alarms < 0.05 + 4 * np.sqrt(0.05 * 0.95 / n_tests)
    # A plain test with as many looks alarms in a third of the experiments.
    plain = np.abs(gap) / np.sqrt(np.maximum(variance, 1e-12)) > 1.96
    assert (plain & looked).any(axis=1).mean() > 0.25


def test_bad_input() -> None:
    with pytest.raises(ConfigError, match="effect=0"):
        SequentialTest(effect=0)
    with pytest.raises(ConfigError, match="alpha=1"):
        SequentialTest(effect=1, alpha=1)
    with pytest.raises(ConfigError, match="min_users=1"):
        SequentialTest(effect=1, min_users=1)
    with pytest.raises(DataError, match="missing or infinite"):
        SequentialTest(effect=1).look([1.0, np.nan], [1.0, 2.0])
