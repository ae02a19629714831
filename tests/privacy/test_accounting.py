"""The accountant against a formula, and against Google's dp-accounting."""

import math

import dp_accounting
import pytest
from dp_accounting import pld
from scipy.stats import norm

from graphmeta.errors import ConfigError
from graphmeta.privacy import Release, epsilon_of, noise_for

DELTA = 1e-5


def independent(releases: list[Release]) -> float:
    accountant = pld.PLDAccountant()
    for noise, rate, n_times in releases:
        sampled = dp_accounting.PoissonSampledDpEvent(rate, dp_accounting.GaussianDpEvent(noise))
        accountant.compose(dp_accounting.SelfComposedDpEvent(sampled, n_times))
    return float(accountant.get_epsilon(DELTA))


@pytest.mark.parametrize("epsilon", [1.0, 8.0])
def test_noise_spends_the_budget_by_two_accountants(epsilon: float) -> None:
    items = Release(noise_for(0.8 * epsilon, DELTA))
    steps = Release(
        noise_for(epsilon, DELTA, sampling_rate=0.04, n_times=20, before=[items]), 0.04, 20
    )
    spent = epsilon_of([items, steps], DELTA)
    assert 0.99 * epsilon <= spent <= epsilon
    # Opacus returns an upper bound of its own error.
    assert independent([items, steps]) == pytest.approx(spent, rel=0.03)
    assert independent([items, steps]) <= epsilon


def test_one_gaussian_release_by_its_formula() -> None:
    # Balle and Wang, ICML 2018: the delta of a Gaussian with sensitivity 1.
    noise = 1.3
    epsilon = epsilon_of([Release(noise)], DELTA)
    delta = norm.cdf(0.5 / noise - epsilon * noise) - math.exp(epsilon) * norm.cdf(
        -0.5 / noise - epsilon * noise
    )
    assert 0.9 * DELTA <= delta <= DELTA


def test_no_noise_promises_nothing_and_nothing_released_costs_nothing() -> None:
    assert noise_for(math.inf, DELTA) == 0
    assert epsilon_of([Release(0.0), Release(9.0)], DELTA) == math.inf
    assert epsilon_of([], DELTA) == 0


def test_bad_numbers() -> None:
    with pytest.raises(ConfigError, match="delta=0 must be above 0"):
        epsilon_of([], 0)
    with pytest.raises(ConfigError, match="epsilon=0 must be above 0"):
        noise_for(0, DELTA)
    with pytest.raises(ConfigError, match="sampling_rate=2"):
        noise_for(1, DELTA, sampling_rate=2)
    with pytest.raises(ConfigError, match="leave nothing of epsilon=1"):
        noise_for(1, DELTA, before=[Release(0.5)])
