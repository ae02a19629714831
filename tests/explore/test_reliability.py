"""Calibration against cases by hand and scikit-learn's curve."""

import numpy as np
import pytest
import torch

from graphmeta.errors import ConfigError, DataError
from graphmeta.explore import Posterior, calibration_error, count_quantile, reliability


def test_by_hand() -> None:
    table = reliability([0.1, 0.9, 0.3, 0.7], [0, 1, 1, 1], n_bins=2)
    assert table["chance"].tolist() == pytest.approx([0.2, 0.8])
    assert table["observed"].tolist() == [0.5, 1.0]
    assert calibration_error(table) == pytest.approx((0.3 + 0.2) / 2)


def test_as_scikit_learn_has_it() -> None:
    calibration = pytest.importorskip("sklearn.calibration")
    rng = np.random.default_rng(0)
    chance = rng.random(1000)
    taken = rng.random(1000) < chance**2
    table = reliability(chance, taken)
    observed, given = calibration.calibration_curve(taken, chance, n_bins=10, strategy="quantile")
    np.testing.assert_allclose(table["observed"], observed)
    np.testing.assert_allclose(table["chance"], given)


def _posterior(n_users: int) -> Posterior:
    return Posterior(
        torch.full((n_users, 30), -0.5),
        torch.ones(30, 1),
        torch.zeros(n_users, 1),
        torch.zeros(n_users, 0, 1),
    )


def test_quantiles_of_what_is_foretold_are_uniform() -> None:
    posterior, generator = _posterior(2000), torch.Generator().manual_seed(5)
    items = torch.arange(30).expand(2000, 30)
    chances = posterior.logits(posterior.draw(generator), items).sigmoid()
    n_taken = torch.bernoulli(chances, generator=generator).sum(1).long()
    quantile = count_quantile(posterior, items, n_taken, n_draws=200)
    for level in (0.5, 0.8, 0.95):
        inside = ((quantile - 0.5).abs() <= level / 2).float().mean()
        assert float(inside) == pytest.approx(level, abs=0.03)
    # Users differ more than who is sure of them expects.
    sure = count_quantile(posterior, items, n_taken, scale=0.0, n_draws=200)
    assert float(((sure - 0.5).abs() <= 0.4).float().mean()) < 0.6


def test_what_cannot_be_judged() -> None:
    with pytest.raises(ConfigError, match="n_bins=0"):
        reliability([0.5], [1], n_bins=0)
    for chance, taken in (([], []), ([0.5], [1, 0])):
        with pytest.raises(DataError, match="same length"):
            reliability(chance, taken)
    for bad in (1.5, float("nan")):
        with pytest.raises(DataError, match="from 0 to 1"):
            reliability([bad], [1])
    with pytest.raises(ConfigError, match="n_draws=0"):
        count_quantile(
            _posterior(1), torch.zeros(1, 1, dtype=torch.long), torch.zeros(1), n_draws=0
        )
