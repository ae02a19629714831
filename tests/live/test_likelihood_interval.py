"""Empirical likelihood against a direct solution of its definition."""

import numpy as np
import pytest
from scipy.optimize import brentq, minimize
from scipy.stats import chi2

from graphmeta.live.likelihood_interval import likelihood_interval


def _log_likelihood(p: np.ndarray, n: int) -> float:
    return float(np.log(n * p[:n]).sum())


def test_against_the_definition() -> None:
    # Masses on six rows and four unseen points, by a general solver, nothing of the dual.
    weight = np.array([0.0, 0.5, 0.5, 1.0, 1.5, 2.0])
    earned = weight * np.array([1.0, 0.0, 1.0, 1.0, 0.0, 1.0])
    largest = 4.0
    all_weights = np.concatenate([weight, [0, 0, largest, largest]])
    all_earned = np.concatenate([earned, [0, 0, 0, largest]])
    n, start = len(weight), np.full(10, 0.1)
    rules = [
        {"type": "eq", "fun": lambda p: p.sum() - 1},
        {"type": "eq", "fun": lambda p: p @ all_weights - 1},
    ]
    bounds = [(1e-9, 1.0)] * 10
    options = {"maxiter": 2000, "ftol": 1e-12}
    best = minimize(
        lambda p: -_log_likelihood(p, n), start, bounds=bounds, constraints=rules, options=options
    )
    least = -best.fun - chi2.ppf(0.95, 1) / 2
    rules.append({"type": "ineq", "fun": lambda p: _log_likelihood(p, n) - least})
    ends = [
        sign
        * minimize(
            lambda p, sign=sign: sign * (p @ all_earned),
            best.x,
            bounds=bounds,
            constraints=rules,
            options=options,
        ).fun
        for sign in (1, -1)
    ]
    value, lower, upper = likelihood_interval(
        weight, earned, largest=largest, at_zero=(0, 0), at_largest=(0, largest)
    )
    assert (lower, upper) == pytest.approx(ends, abs=1e-4)
    # The best masses leave a little for the unseen; what it earns is half of what it can.
    expected = best.x[:n] @ earned + best.x[8:].sum() * largest / 2
    assert value == pytest.approx(expected, abs=1e-3)


def test_equal_weights_are_owens_interval_of_a_mean() -> None:
    reward = np.array([1.0] * 30 + [0.0] * 70)
    value, lower, upper = likelihood_interval(
        np.ones(100), reward, largest=1.0001, at_zero=(0, 0), at_largest=(0, 1.0001)
    )

    # For a proportion the empirical likelihood is the binomial one.
    def lack(p: float) -> float:
        ratio = 30 * np.log(p / 0.3) + 70 * np.log((1 - p) / 0.7)
        return float(-2 * ratio - chi2.ppf(0.95, 1))

    assert value == pytest.approx(0.3, abs=1e-4)
    assert lower == pytest.approx(brentq(lack, 1e-6, 0.3), abs=2e-3)
    assert upper == pytest.approx(brentq(lack, 0.3, 1 - 1e-6), abs=2e-3)


def test_a_larger_possible_weight_widens_it() -> None:
    rng = np.random.default_rng(0)
    weight = rng.choice([0.2, 3.0], 300, p=[0.8, 0.2])
    earned = weight * (rng.random(300) < 0.3)
    widths = []
    for largest in (3.0, 30.0, 300.0):
        value, lower, upper = likelihood_interval(
            weight, earned, largest=largest, at_zero=(0, 0), at_largest=(0, largest)
        )
        assert 0 <= lower < value < upper <= 1
        widths.append(upper - lower)
    assert widths == sorted(widths)
