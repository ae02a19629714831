"""Factors read from features."""

import pytest
import torch
from sklearn.linear_model import Ridge

from graphmeta.data import Support, from_frame, planted_interactions
from graphmeta.errors import ConfigError, DataError
from graphmeta.ranking.baselines import AttributeMap


def test_it_is_a_ridge_regression_of_the_factors() -> None:
    graph = from_frame(planted_interactions())
    n_items = int(graph["item"].num_nodes)
    graph["item"].x = torch.randn(n_items, 5, generator=torch.Generator().manual_seed(0))
    model = AttributeMap(num_factors=4, ridge=2.0).fit(graph)
    with_ones = torch.cat([graph["item"].x, torch.ones(n_items, 1)], 1).numpy()
    oracle = Ridge(alpha=2.0, fit_intercept=False).fit(with_ones, model._known.numpy())
    mapped = torch.from_numpy(oracle.predict(with_ones)).float()
    torch.testing.assert_close(model._mapped, mapped, rtol=1e-4, atol=1e-5)
    scores = model.score(Support(torch.tensor([[3, 7]])))
    torch.testing.assert_close(scores[0], mapped @ (model._known[3] + model._known[7]))


def test_items_of_equal_features_score_alike() -> None:
    graph = from_frame(planted_interactions())
    graph["item"].x = torch.ones(int(graph["item"].num_nodes), 1)
    scores = AttributeMap(num_factors=4).fit(graph).score(Support(torch.tensor([[0]])))
    torch.testing.assert_close(scores, scores[:, :1].expand_as(scores))


def test_what_it_cannot_do_without() -> None:
    with pytest.raises(DataError, match="needs item features"):
        AttributeMap().fit(from_frame(planted_interactions()))
    with pytest.raises(ConfigError, match="ridge=0"):
        AttributeMap(ridge=0)
