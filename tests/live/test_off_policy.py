"""Estimators by hand, against statsmodels, and on a truth that is known."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from graphmeta.errors import ConfigError, DataError
from graphmeta.live import estimate_off_policy
from graphmeta.ranking.bootstrap import bootstrap_interval

BY_HAND = pd.DataFrame(
    {
        "user": ["a", "b", "c", "d"],
        "reward": [1.0, 0.0, 1.0, 0.0],
        "propensity": [0.5, 0.25, 0.8, 0.5],
        "target": [0.25, 0.5, 0.4, 0.25],  # Weights 1/2, 2, 1/2, 1/2.
        "predicted": [0.5, 0.5, 0.5, 0.5],
        "predicted_target": [0.4, 0.4, 0.6, 0.6],
    }
)
PREDICTIONS = {"predicted": "predicted", "predicted_target": "predicted_target"}


def _log(n_users: int = 400, *, seed: int = 0, probability: float = 0.5) -> pd.DataFrame:
    """Return a log of two items, shown alike often; users like item 1 more; 1 to 4 rows each."""
    rng = np.random.default_rng(seed)
    user = np.repeat(np.arange(n_users), rng.integers(1, 5, n_users))
    item = rng.random(len(user)) < probability
    taste = rng.normal(0, 0.2, n_users)[user]
    reward = (rng.random(len(user)) < 0.3 + 0.3 * item + taste).astype(float)
    return pd.DataFrame(
        {
            "user": user,
            "reward": reward,
            "propensity": np.where(item, probability, 1 - probability),
            "target": np.where(item, 0.8, 0.2),
            "predicted": 0.25 + 0.4 * item,
            "predicted_target": 0.25 + 0.4 * 0.8,
        }
    )


def test_by_hand() -> None:
    found = estimate_off_policy(BY_HAND, **PREDICTIONS, on_poor_overlap="keep")
    values, overlap = found.values, found.overlap
    assert values.loc["ips", "value"] == pytest.approx((0.5 + 0.5) / 4)
    assert values.loc["snips", "value"] == pytest.approx(1 / 3.5)
    assert values.loc["dm", "value"] == pytest.approx(0.5)
    # Residuals 1/2 w, -1/2 w, ...: 1/4, -1, 1/4, -1/4.
    assert values.loc["dr", "value"] == pytest.approx(0.5 - 0.75 / 4)
    assert values.loc["ips", "gain"] == pytest.approx(0.25 - 0.5)
    assert (overlap.n_rows, overlap.n_users, overlap.largest_weight) == (4, 4, 2.0)
    assert overlap.effective_rows == overlap.effective_users == pytest.approx(3.5**2 / 4.75)
    assert overlap.largest_share == pytest.approx(2 / 3.5)
    assert overlap.mean_weight == pytest.approx(3.5 / 4)
    assert overlap.mean_weight_error == pytest.approx(np.std([0.5, 2, 0.5, 0.5], ddof=1) / 2)
    # Standard error of .5, 0, .5, 0 is .1443; Student's t with 3 degrees of freedom 3.1824.
    reach = 3.182446 * np.std([0.5, 0, 0.5, 0], ddof=1) / 2
    assert values.loc["ips", "upper"] == pytest.approx(0.25 + reach)
    assert values.loc["ips", "lower"] == pytest.approx(0.25 - reach)


def test_clipping_by_hand() -> None:
    found = estimate_off_policy(BY_HAND, **PREDICTIONS, clip=1.0, on_poor_overlap="keep")
    assert "el" not in found.values.index
    assert found.values.loc["snips", "value"] == pytest.approx(1 / 2.5)
    assert found.values.loc["dr", "value"] == pytest.approx(0.5 - 0.25 / 4)
    assert found.overlap.clipped == 0.25
    assert found.overlap.mean_weight == pytest.approx(3.5 / 4)  # as they were


def test_against_cluster_robust_regression() -> None:
    log = _log()
    found = estimate_off_policy(log, **PREDICTIONS).values
    weight = log["target"] / log["propensity"]
    outcomes = {
        "ips": weight * log["reward"],
        "dm": log["predicted_target"] + 0 * weight,
        "dr": log["predicted_target"] + weight * (log["reward"] - log["predicted"]),
    }
    n = log["user"].nunique()
    # statsmodels' small-sample factor is (G / (G - 1)) (N - 1) / (N - 1) for one parameter.
    about = {"cov_type": "cluster", "cov_kwds": {"groups": log["user"]}, "use_t": True}
    for name, outcome in outcomes.items():
        fit = sm.OLS(outcome, np.ones(len(log))).fit(**about)
        assert found.loc[name, ["value", "lower", "upper"]].to_numpy() == pytest.approx(
            [fit.params.iloc[0], *fit.conf_int().iloc[0]], abs=1e-12
        )
    fit = sm.WLS(log["reward"], np.ones(len(log)), weights=weight).fit(**about)
    assert found.loc["snips", ["value", "lower", "upper"]].to_numpy() == pytest.approx(
        [fit.params.iloc[0], *fit.conf_int().iloc[0]], abs=1e-12
    )
    fit = sm.OLS(outcomes["dr"] - log["reward"], np.ones(len(log))).fit(**about)
    assert found.loc["dr", ["gain", "gain_lower", "gain_upper"]].to_numpy() == pytest.approx(
        [fit.params.iloc[0], *fit.conf_int().iloc[0]], abs=1e-12
    )
    assert n == 400


def test_against_the_bootstrap_over_users() -> None:
    log = _log()
    weight = log["target"] / log["propensity"]
    by_user = pd.DataFrame({"user": log["user"], "top": weight * log["reward"], "w": weight})
    sums = by_user.groupby("user").sum()
    low, high = bootstrap_interval(sums[["top"]].to_numpy(), sums[["w"]].to_numpy(), n_draws=4000)
    row = estimate_off_policy(log).values.loc["snips"]
    assert row["lower"] == pytest.approx(low[0], abs=0.004)
    assert row["upper"] == pytest.approx(high[0], abs=0.004)


def test_the_order_of_rows_and_ids_of_users_change_nothing() -> None:
    log = _log(100)
    found = estimate_off_policy(log, **PREDICTIONS)
    other = log.assign(user="u" + log["user"].astype(str)).sample(frac=1, random_state=0)
    again = estimate_off_policy(other, **PREDICTIONS)
    pd.testing.assert_frame_equal(found.values, again.values, rtol=1e-5)


def test_the_logging_policy_itself_is_its_mean_reward() -> None:
    log = _log(100).assign(target=lambda t: t["propensity"])
    values = estimate_off_policy(log).values
    for name in ("ips", "snips", "el"):
        assert values.loc[name, "value"] == pytest.approx(log["reward"].mean(), abs=1e-6)
        assert values.loc[name, "gain"] == pytest.approx(0, abs=1e-6)


def test_intervals_cover_the_truth_where_overlap_is_good() -> None:
    # A user likes item 1 with .6 and item 0 with .3, up to the cut of chances at 0 and 1.
    rng = np.random.default_rng(9)
    taste = rng.normal(0, 0.2, 400_000)
    truth = 0.8 * np.clip(0.6 + taste, 0, 1).mean() + 0.2 * np.clip(0.3 + taste, 0, 1).mean()
    inside: dict[str, list[bool]] = {}
    for seed in range(100):
        values = estimate_off_policy(_log(150, seed=seed, probability=0.3), **PREDICTIONS).values
        for name, row in values.iterrows():
            inside.setdefault(str(name), []).append(row["lower"] <= truth <= row["upper"])
    # 95 % less four standard errors of 100 tries; the direct method's model is wrong.
    for name in ("ips", "snips", "el", "dr"):
        assert np.mean(inside[name]) > 0.95 - 4 * np.sqrt(0.95 * 0.05 / 100)
    assert np.mean(inside["dm"]) == 0


def test_rewards_of_another_range() -> None:
    log = _log(100)
    plain = estimate_off_policy(log).values.loc["el"]
    stars = log.assign(reward=1 + 4 * log["reward"])
    moved = estimate_off_policy(stars, reward_range=(1, 5)).values.loc["el"]
    np.testing.assert_allclose(
        moved[["value", "lower", "upper"]], 1 + 4 * plain.iloc[:3], rtol=1e-6
    )
    np.testing.assert_allclose(moved.iloc[3:], 4 * plain.iloc[3:], rtol=1e-6, atol=1e-9)
    assert "el" not in estimate_off_policy(stars, reward_range=None).values.index
    with pytest.raises(DataError, match=r"rewards run from 1 to 5, outside"):
        estimate_off_policy(stars)


def test_propensities_are_needed() -> None:
    log = _log(50)
    with pytest.raises(DataError, match="no column 'propensity' of propensities"):
        estimate_off_policy(log.drop(columns="propensity"))
    for bad, match in (
        (0.0, "are 0 or below"),
        (np.nan, "missing or infinite"),
        (1.5, "above 1; give probabilities"),
    ):
        with pytest.raises(DataError, match=match):
            estimate_off_policy(log.assign(propensity=log["propensity"].where(log.index > 0, bad)))
    with pytest.raises(DataError, match="all propensities are 1"):
        estimate_off_policy(log.assign(propensity=1.0))


def test_poor_overlap_is_refused() -> None:
    log = _log(200)
    with pytest.raises(DataError, match="would have shown none"):
        estimate_off_policy(log.assign(target=0.0))
    with pytest.raises(DataError, match=r"12\.5% of what the target policy shows is never shown"):
        estimate_off_policy(log.assign(gone=0.125), unsupported="gone")
    with pytest.raises(DataError, match=r"weights average 1\.91 instead of 1"):
        estimate_off_policy(log.assign(propensity=log["propensity"] / 2))
    with pytest.raises(DataError, match="20 users are worth only"):
        estimate_off_policy(log[log["user"] < 20])
    kept = estimate_off_policy(log.assign(gone=0.125), unsupported="gone", on_poor_overlap="keep")
    assert kept.overlap.target_outside == 0.125
    assert list(kept.values.index) == ["ips", "snips"]
    assert estimate_off_policy(log.assign(gone=0.0), unsupported="gone").overlap.problem is None


def test_bad_input() -> None:
    log = _log(50)
    with pytest.raises(DataError, match="no row"):
        estimate_off_policy(log[:0])
    with pytest.raises(DataError, match="no column 'clicks'"):
        estimate_off_policy(log, reward="clicks")
    with pytest.raises(DataError, match="'reward' must hold numbers"):
        estimate_off_policy(log.assign(reward="yes"))
    with pytest.raises(DataError, match="every choice has a user"):
        estimate_off_policy(log.assign(user=None))
    with pytest.raises(DataError, match="of one user"):
        estimate_off_policy(log.assign(user=1))
    with pytest.raises(DataError, match="the target column runs from"):
        estimate_off_policy(log.assign(target=2.0))
    with pytest.raises(DataError, match="of a later place than 1"):
        estimate_off_policy(log.assign(place=2), place="place")
    with pytest.raises(ConfigError, match="clip=0 must be above 0"):
        estimate_off_policy(log, clip=0)
    with pytest.raises(ConfigError, match="give one of them"):
        estimate_off_policy(log, clip=2, largest_weight=5)
    with pytest.raises(ConfigError, match=r"largest_weight=1 is below the 1\.6"):
        estimate_off_policy(log, largest_weight=1)
    with pytest.raises(ConfigError, match="go together"):
        estimate_off_policy(log, predicted="predicted")
