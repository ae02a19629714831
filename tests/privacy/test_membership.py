"""The attack against scikit-learn's figures and by hand; losses of scorers that are known."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score, roc_curve
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data import Support, split_cold_users
from graphmeta.errors import ConfigError, DataError
from graphmeta.privacy import attack, most_found, user_losses


class Constant:
    """Scores every item alike, or some items only."""

    def __init__(self, scores: Tensor) -> None:
        self.scores = scores

    def score(self, support: Support) -> Tensor:
        return self.scores.expand(len(support), -1)


def test_an_attack_is_measured_as_by_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    others, members = rng.normal(size=500), rng.normal(1.5, size=400)
    found = attack(members, others, false_positives=0.05, n_draws=200)
    truth = np.repeat([0, 1], [500, 400])
    scores = np.concatenate([others, members])
    assert found.auc[0] == pytest.approx(roc_auc_score(truth, scores))
    false, true, _ = roc_curve(truth, scores)
    assert found.found[0] == pytest.approx(true[false <= 0.05].max(), abs=0.01)
    for middle, low, high in found:
        assert low < middle < high
        assert high - low < 0.25


def test_scores_that_are_equal_tell_nothing() -> None:
    found = attack(np.zeros(20), np.zeros(30), n_draws=10)
    assert found.auc == (0.5, 0.5, 0.5)
    assert found.found == (0, 0, 0)


def test_the_most_that_can_be_found() -> None:
    assert most_found(1.0, 1e-5) == pytest.approx(math.e * 0.01 + 1e-5)
    assert most_found(math.inf, 1e-5) == 1
    assert most_found(0.0, 0.0) == pytest.approx(0.01)
    # At a large epsilon the other bound is the tighter one.
    assert most_found(8.0, 1e-5) == pytest.approx(1 - math.exp(-8) * (0.99 - 1e-5))
    # Of a Gaussian release of noise 1.3, whose best attack is known, nothing beats the bound.
    noise, false = torch.tensor(1.3), torch.tensor(0.01)
    normal = torch.distributions.Normal(0, 1)
    best = normal.cdf(normal.icdf(false) + 1 / noise)
    assert float(best) < most_found(3.6, 1e-5)


def test_losses_of_known_scorers(planted_graph: HeteroData) -> None:
    users = split_cold_users(planted_graph, seed=0).test
    n_items = len(users.item_ids)
    alike = user_losses(Constant(torch.zeros(n_items)), users, k=3)
    torch.testing.assert_close(alike, torch.full_like(alike, math.log(n_items - 3)))
    first = users.query(0)
    knows = torch.full((n_items,), -1e9)
    knows[first] = 0.0
    found = user_losses(Constant(knows), users, k=3)
    assert float(found[0]) == pytest.approx(math.log(len(first)))
    assert found[1:].min() > found[0]


def test_bad_input(planted_graph: HeteroData) -> None:
    with pytest.raises(ConfigError, match="false_positives=0 must be above 0"):
        attack(np.zeros(1), np.zeros(1), false_positives=0)
    with pytest.raises(DataError, match="got 0 and 1"):
        attack(np.zeros(0), np.zeros(1))
    with pytest.raises(DataError, match="without NaN"):
        attack(np.array([np.nan]), np.zeros(1))
    users = split_cold_users(planted_graph, seed=0).test
    with pytest.raises(ConfigError, match="lower k"):
        user_losses(Constant(torch.zeros(len(users.item_ids))), users, k=99)
