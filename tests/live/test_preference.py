"""The sign test over users."""

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.descriptivestats import sign_test
from statsmodels.stats.proportion import proportion_confint

from graphmeta.errors import DataError
from graphmeta.live import compare_interleaved, team_draft


def test_by_hand() -> None:
    sessions = pd.DataFrame(
        {"user": list("aaabbcddef"), "credit": [1, 1, -1, -1, 1, 1, 0, 1, 1, -1]}
    )
    found = compare_interleaved(sessions)
    # a, c, d and e prefer a, f prefers b, b is undecided; P(0, 1, 4 or 5 of 5) = 12 / 32.
    assert (found.n_a, found.n_b, found.n_tied) == (4, 1, 1)
    assert found.share == 0.8
    assert found.p_value == pytest.approx(12 / 32)


def test_against_statsmodels() -> None:
    rng = np.random.default_rng(0)
    credit = rng.choice([-1, 0, 1], size=200, p=[0.2, 0.4, 0.4])
    found = compare_interleaved(pd.DataFrame({"user": np.arange(200), "credit": credit}))
    assert found.p_value == pytest.approx(sign_test(credit)[1])
    ends = proportion_confint(found.n_a, found.n_a + found.n_b, method="beta")
    assert (found.lower, found.upper) == pytest.approx(ends)


def test_a_users_sessions_are_one_voice() -> None:
    once = pd.DataFrame({"user": range(6), "credit": [1, 1, 1, 1, -1, -1]})
    often = pd.concat([once] * 10)
    assert compare_interleaved(often) == compare_interleaved(once)


def _simulated(a: list[int], b: list[int], n_users: int, seed: int) -> pd.DataFrame:
    """Users click on each of five places with a chance that falls with the item's number."""
    rng = np.random.default_rng(seed)
    credits = []
    for _ in range(n_users):
        draft = team_draft(a, b, k=5, rng=rng)
        clicked = [i for i in draft.items if rng.random() < 0.5 / (1 + i)]
        credits.append(draft.credit(clicked))
    return pd.DataFrame({"user": range(n_users), "credit": credits})


def test_like_rankings_are_rarely_told_apart_and_better_ones_win() -> None:
    best, worst = list(range(10)), list(range(9, -1, -1))
    alike = [compare_interleaved(_simulated(best, best, 60, seed)).p_value for seed in range(100)]
    # The exact test keeps its 5 %: 13 or more of 100 would come once in 1,500 runs.
    assert np.mean(np.array(alike) < 0.05) < 0.13
    assert compare_interleaved(_simulated(best, worst, 100, 0)).p_value < 1e-6


def test_bad_input() -> None:
    fine = pd.DataFrame({"user": ["u"], "credit": [1]})
    with pytest.raises(DataError, match="no column 'credit'"):
        compare_interleaved(fine[["user"]])
    with pytest.raises(DataError, match="'user' is missing"):
        compare_interleaved(fine.assign(user=None))
    with pytest.raises(DataError, match="must hold 1, 0 or -1"):
        compare_interleaved(fine.assign(credit=2))
    with pytest.raises(DataError, match="no user prefers"):
        compare_interleaved(fine.assign(credit=0))
