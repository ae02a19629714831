"""Ratings predicted in closed form, and the means that all are measured against."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import DotProduct
from torch_geometric.data import HeteroData

from graphmeta.data import Support, from_frame, planted_interactions, split_rated_users
from graphmeta.errors import ConfigError, DataError
from graphmeta.ranking.baselines import ItemMean, RatingRidge
from graphmeta.ranking.baselines.rating_matrix import RatingMatrix
from graphmeta.ranking.rerating import rerate

RATED = Support(torch.tensor([[3, 5, 9], [1, -1, -1]]), torch.tensor([[5.0, 1, 4], [2, 0, 0]]))


def _graph(*, features: bool = False) -> HeteroData:
    graph = from_frame(planted_interactions(), rating="rating")
    if features:
        n_items = int(graph["item"].num_nodes)
        graph["item"].x = torch.randn(n_items, 4, generator=torch.Generator().manual_seed(0))
    return graph


def test_ratings_are_mean_biases_and_a_rest() -> None:
    graph = _graph()
    found = RatingMatrix(graph, shrinkage=0, by_features=False)
    table = planted_interactions().drop_duplicates(["user", "item"])
    assert found.mean == pytest.approx(table["rating"].mean())
    # Without shrinkage an item's bias leaves nothing of the item on average but users' last move.
    by_item = (
        np.abs(np.asarray(found.residual.sum(0))).ravel()
        / graph["user", "rates", "item"].edge_index[1].bincount().numpy()
    )
    assert by_item.max() < 0.02
    shrunk = RatingMatrix(graph, shrinkage=1000, by_features=False)
    assert shrunk.item_bias.abs().mean() < 0.2 * found.item_bias.abs().mean()


def test_an_item_nobody_has_rated_is_known_by_its_features() -> None:
    table = planted_interactions()
    graph = from_frame(table, rating="rating")
    store = graph["user", "rates", "item"]
    good = torch.arange(int(graph["item"].num_nodes)) % 2
    store.rating = 2.0 + 2 * good[store.edge_index[1]]
    graph["item"].x = torch.stack([good, 1 - good], 1).float()
    kept = store.edge_index[1] > 1
    store.edge_index, store.rating = store.edge_index[:, kept], store.rating[kept]
    bias = RatingMatrix(graph, shrinkage=3, by_features=True).item_bias
    assert bias[0] < -0.8
    assert bias[1] > 0.8
    assert not RatingMatrix(graph, shrinkage=3, by_features=False).item_bias[:2].any()


@pytest.mark.parametrize("features", [False, True])
def test_it_is_the_posterior_mean_of_a_gaussian_process(*, features: bool) -> None:
    model = RatingRidge(num_factors=8, factors=0.2, content=0.3, level=0.4, noise=0.7)
    model.fit(_graph(features=features))
    assert model._ratings is not None
    known = model._features().double().numpy()
    bias = (model._ratings.mean + model._ratings.item_bias).double().numpy()
    scores = model.score(RATED)
    assert RATED.rating is not None
    for row in range(2):
        item = RATED.item_index[row][RATED.mask[row]].numpy()
        left = RATED.rating[row][RATED.mask[row]].numpy() - bias[item]
        oracle = GaussianProcessRegressor(DotProduct(0, "fixed"), alpha=0.7, optimizer=None)
        predicted = bias + oracle.fit(known[item], left).predict(known)
        torch.testing.assert_close(
            scores[row].double(), torch.from_numpy(predicted), rtol=1e-4, atol=1e-4
        )


def test_users_alone_in_a_batch_and_without_ratings() -> None:
    model = RatingRidge().fit(_graph(features=True))
    alone = model.score(Support(torch.tensor([[9, 3, 5]]), torch.tensor([[4.0, 5, 1]])))
    torch.testing.assert_close(model.score(RATED)[0], alone[0])
    nothing = model.score(Support(torch.tensor([[-1]]), torch.zeros(1, 1)))
    none_at_all = model.score(Support(torch.zeros(1, 0).long(), torch.zeros(1, 0)))
    torch.testing.assert_close(nothing, none_at_all)


def test_taste_is_read_from_ratings() -> None:
    split = split_rated_users(from_frame(planted_interactions(600), rating="rating"))
    users = split.test["test"]
    means, ridge = (
        rerate(kind().fit(split.train), users)["better-half-ndcg@5"].mean()
        for kind in (ItemMean, RatingRidge)
    )
    assert ridge > means + 0.1


def test_item_means_are_the_same_for_everybody() -> None:
    model = ItemMean().fit(_graph())
    scores = model.score(RATED)
    assert torch.equal(scores[0], scores[1])
    table = pd.DataFrame({"user": [1, 2, 1, 2], "item": [1, 1, 2, 2], "rating": [5, 5, 1, 1]})
    high, low = ItemMean(shrinkage=1).fit(from_frame(table, rating="rating")).score(RATED)[0]
    assert 3 < high < 5
    assert low == pytest.approx(6 - float(high))


@pytest.mark.parametrize("kind", [ItemMean, RatingRidge])
def test_bad_input_is_refused(kind: type[ItemMean | RatingRidge]) -> None:
    with pytest.raises(DataError, match="no ratings; name their column"):
        kind().fit(from_frame(planted_interactions()))
    with pytest.raises(DataError, match="is not fitted"):
        kind().score(RATED)
    with pytest.raises(ConfigError, match="shrinkage=-1"):
        kind(shrinkage=-1)


def test_a_ridge_needs_ratings_to_go_by() -> None:
    with pytest.raises(DataError, match="needs the ratings of what users have shown"):
        RatingRidge().fit(_graph()).score(Support(torch.tensor([[0]])))
    with pytest.raises(ConfigError, match="noise=0"):
        RatingRidge(noise=0)
