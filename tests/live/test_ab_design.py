"""Sizes of tests against statsmodels' solvers, a formula and simulated tests."""

import sys

import numpy as np
import pytest
from scipy.stats import nct, norm, t, ttest_ind
from statsmodels.stats.power import TTestIndPower
from statsmodels.stats.proportion import (
    power_proportions_2indep,
    samplesize_proportions_2indep_onetail,
)

from graphmeta.errors import ConfigError, MissingExtraError
from graphmeta.live import ABDesign
from graphmeta.live.ab_design import _t_power


def test_by_hand() -> None:
    # 2 (1.96 + .8416)^2 / .1^2 = 1569.8 a arm by the normal distribution, one more by Student's.
    users = ABDesign().users_for_mean(0.1, sd=1.0)
    assert users == 2 * 1571 or users == 2 * 1571 - 1
    assert users == pytest.approx(4 * (norm.ppf(0.975) + norm.ppf(0.8)) ** 2 / 0.1**2, rel=1e-3)


@pytest.mark.parametrize("treated", [0.5, 0.2])
def test_against_statsmodels(treated: float) -> None:
    design = ABDesign(power=0.9, alpha=0.01, treated=treated)
    ratio = treated / (1 - treated)
    nobs1 = TTestIndPower().solve_power(0.25, alpha=0.01, power=0.9, ratio=ratio)
    assert design.users_for_mean(0.5, sd=2.0) == pytest.approx(nobs1 * (1 + ratio), abs=1)
    nobs1 = samplesize_proportions_2indep_onetail(
        0.03, 0.1, 0.9, ratio=(1 - treated) / treated, alpha=0.01
    )
    assert design.users_for_rate(0.03, rate=0.1) == pytest.approx(nobs1 / treated, abs=1)


def test_effects_are_the_inverse_of_users() -> None:
    design = ABDesign(treated=0.3)
    users = design.users_for_mean(0.2, sd=1.5, correlation=0.6)
    assert design.effect_for_mean(users, sd=1.5, correlation=0.6) == pytest.approx(0.2, rel=1e-3)
    users = design.users_for_rate(0.02, rate=0.3)
    assert design.effect_for_rate(users, rate=0.3) == pytest.approx(0.02, rel=1e-3)
    # What is known before takes its squared correlation off the users.
    assert design.users_for_mean(0.1, sd=1, correlation=0.6) == pytest.approx(
        (1 - 0.36) * design.users_for_mean(0.1, sd=1), rel=1e-3
    )


@pytest.mark.parametrize("n_users", [4, 5, 20, 100, 1000, 100_000])
@pytest.mark.parametrize(
    ("alpha", "power"), [(0.05, 0.8), (0.01, 0.95), (0.001, 0.8), (0.025, 0.99)]
)
def test_any_design_tells_its_effect(n_users: int, alpha: float, power: float) -> None:
    design = ABDesign(alpha=alpha, power=power)
    found = design.effect_for_mean(n_users, sd=1.0)
    needed = design.users_for_mean(found, sd=1.0)
    assert needed == pytest.approx(n_users, rel=1e-3, abs=1)


@pytest.mark.parametrize("effect", [0.5, 2.0, 4.0])
@pytest.mark.parametrize("n_free", [2, 18, 500])
def test_the_power_where_the_library_has_none(effect: float, n_free: float) -> None:
    expected = nct.sf(t.isf(0.025, n_free), n_free, effect)
    assert _t_power(effect, n_free, 0.025) == pytest.approx(expected, abs=1e-4)


def test_a_guardrail_is_a_one_sided_test() -> None:
    nobs1 = TTestIndPower().solve_power(0.1, alpha=0.025, power=0.8, alternative="larger")
    found = ABDesign().users_for_guardrail(0.1, sd=1.0)
    assert found == pytest.approx(2 * nobs1, abs=1)


def test_a_fall_needs_other_users_than_a_rise() -> None:
    rise, fall = (ABDesign().users_for_rate(d, rate=0.1) for d in (0.02, -0.02))
    assert fall < rise
    power = power_proportions_2indep(-0.02, 0.1, fall / 2, return_results=False)
    assert power == pytest.approx(0.8, abs=1e-3)


def test_the_power_is_what_simulated_tests_have() -> None:
    users = ABDesign().users_for_mean(0.5, sd=1.0)
    rng = np.random.default_rng(0)
    control = rng.normal(0, 1, (2000, users // 2))
    treatment = rng.normal(0.5, 1, (2000, users - users // 2))
    found = (ttest_ind(treatment, control, axis=1).pvalue < 0.05).mean()
    assert found == pytest.approx(0.8, abs=4 * np.sqrt(0.16 / 2000))


def test_large_effects_need_few_users() -> None:
    assert 4 <= ABDesign().users_for_mean(100.0, sd=1.0) <= 8
    assert ABDesign(treated=0.01).users_for_mean(100.0, sd=1.0) >= 200


def test_bad_input(monkeypatch: pytest.MonkeyPatch) -> None:
    design = ABDesign()
    for power, alpha in ((1.0, 0.05), (0.04, 0.05), (0.8, 0.0)):
        with pytest.raises(ConfigError, match="0 < alpha < power < 1"):
            ABDesign(power=power, alpha=alpha)
    with pytest.raises(ConfigError, match="treated=1"):
        ABDesign(treated=1)
    with pytest.raises(ConfigError, match="effect=0 must be above 0"):
        design.users_for_mean(0, sd=1)
    with pytest.raises(ConfigError, match="sd=-1 must be above 0"):
        design.users_for_mean(1, sd=-1)
    with pytest.raises(ConfigError, match="correlation=1 "):
        design.users_for_mean(1, sd=1, correlation=1)
    with pytest.raises(ConfigError, match="margin=0"):
        design.users_for_guardrail(0, sd=1)
    with pytest.raises(ConfigError, match="two shares"):
        design.users_for_rate(0.6, rate=0.5)
    with pytest.raises(ConfigError, match="n_users=3 leaves an arm"):
        design.effect_for_mean(3, sd=1)
    with pytest.raises(ConfigError, match=r"show no rise from 0\.9"):
        design.effect_for_rate(10, rate=0.9)
    with pytest.raises(ConfigError, match="rate=0 must"):
        design.effect_for_rate(10, rate=0)
    monkeypatch.setitem(sys.modules, "statsmodels", None)
    with pytest.raises(MissingExtraError, match=r"graphmeta\[live\]"):
        ABDesign()
