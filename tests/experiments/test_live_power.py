"""Simulated sessions and looks."""

import numpy as np
import pandas as pd
import pytest

from graphmeta.experiments.live_power import (
    Sessions,
    false_alarms,
    power_by_sessions,
    sessions_for,
    simulate_sessions,
)

WANTED = np.eye(4, dtype=bool)
BEST = np.array([[u, *(i for i in range(4) if i != u)] for u in range(4)])
WORST = BEST[:, ::-1]


def test_clicks_by_hand() -> None:
    found = simulate_sessions(BEST, WORST, WANTED, n_sessions=8000, k=2)
    # Two places, looked at with chances 1 and 1 / log2(3); the wanted item is first or nowhere.
    second = 1 / np.log2(3)
    assert found.a.mean() == pytest.approx(0.6 + 0.05 * second, abs=0.03)
    assert found.b.mean() == pytest.approx(0.05 + 0.05 * second, abs=0.02)
    assert found.credit.mean() > 0.3
    # The last two of one order are the first two of the other.
    assert found.shared == 0


def test_like_rankings_are_not_told_apart() -> None:
    found = simulate_sessions(BEST, BEST, WANTED, n_sessions=8000, k=3)
    assert abs(found.credit.mean()) < 4 / np.sqrt(8000)
    assert found.shared == 1
    power = power_by_sessions(found, [40, 400], n_tests=500)
    assert (
        (power[["interleaving", "ab"]] < 0.05 + 4 * np.sqrt(0.05 * 0.95 / 500) + 0.02).all().all()
    )


def test_power_by_hand() -> None:
    # Every credit is a's: the sign test rejects from six sessions on, 2 / 2^6 < .05 < 2 / 2^5.
    sure = Sessions(np.ones(5, dtype=int), np.array([2, 3]), np.array([1, 2]), 0.5)
    power = power_by_sessions(sure, [4, 6], n_tests=50)
    assert power["interleaving"].tolist() == [0.0, 1.0]
    # Where b is better alone, a clear preference for a is no success.
    wrong = Sessions(np.ones(5, dtype=int), np.array([1, 2]), np.array([2, 3]), 0.5)
    assert power_by_sessions(wrong, [6], n_tests=50)["interleaving"].tolist() == [0.0]


def test_sessions_for() -> None:
    power = pd.DataFrame({"n_sessions": [10, 100, 1000], "ab": [0.1, 0.7, 0.9]})
    assert sessions_for(power, "ab") == pytest.approx(np.sqrt(100 * 1000))
    assert sessions_for(power, "ab", wanted=0.7) == pytest.approx(100)
    assert sessions_for(power, "ab", wanted=0.95) == np.inf
    assert sessions_for(power, "ab", wanted=0.01) == 0


def test_false_alarms() -> None:
    coin = np.array([0.0, 1.0])
    found = false_alarms(coin, effect=0.1, n_users=1500, n_tests=200).set_index("way")["found"]
    assert found["always valid"] < 0.05 + 4 * np.sqrt(0.05 * 0.95 / 200)
    assert found["t-test at the end"] < 0.05 + 4 * np.sqrt(0.05 * 0.95 / 200)
    assert found["t-test at every look"] > 0.2
    there = false_alarms(coin, effect=0.1, shift=0.3, n_users=1500, n_tests=50).set_index("way")
    assert there.loc["always valid", "found"] == 1
    assert there.loc["always valid", "n_users"] < 2000
