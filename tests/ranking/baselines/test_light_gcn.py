import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from torch_geometric.data import HeteroData
from torch_geometric.nn import LightGCN as PyGLightGCN

from graphmeta.data import Support, from_frame, planted_interactions, split_cold_users
from graphmeta.errors import ConfigError, DataError, NonFiniteError
from graphmeta.ranking import evaluate
from graphmeta.ranking.baselines import LightGCN, Popularity
from graphmeta.ranking.baselines.light_gcn import _NormalisedGraph, _product
from graphmeta.ranking.baselines.training_matrix import TrainingMatrix


def _whole_rows(graph: HeteroData) -> Support:
    """Each training user's whole history."""
    matrix = TrainingMatrix(graph).by_user
    rows = [torch.from_numpy(matrix[u].indices).long() for u in range(matrix.shape[0])]
    return Support(torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=-1))


def test_beats_popularity_where_taste_is_planted():
    split = split_cold_users(from_frame(planted_interactions(600, skew=0.0)), seed=0)
    gcn = LightGCN().fit(split.train)
    found, popular = (
        evaluate(method, split.test, k=(3, 5)).per_user.groupby("k")["ndcg@10"].mean()
        for method in (gcn, Popularity().fit(split.train))
    )
    assert (found > 1.25 * popular).all()


def test_propagation_is_that_of_pyg(planted_graph: HeteroData):
    matrix = TrainingMatrix(planted_graph)
    n_users, n_items = matrix.n_users, matrix.n_items
    oracle = PyGLightGCN(n_users + n_items, 8, 3)
    edges = planted_graph["user", "rates", "item"].edge_index.clone()
    edges[1] += n_users
    expected = oracle.get_embedding(torch.cat([edges, edges.flip(0)], dim=1))
    user, item = oracle.embedding.weight.split([n_users, n_items])
    layers = _NormalisedGraph(matrix).layers(user, item, 3)
    found = torch.cat([torch.stack(part).mean(0) for part in layers])
    assert torch.allclose(found, expected, atol=1e-5)
    # The gradient through the sparse products as well.
    weight = torch.randn(found.shape, generator=torch.Generator().manual_seed(0))
    gradient = [
        torch.autograd.grad((out * weight).sum(), oracle.embedding.weight)[0]
        for out in (found, expected)
    ]
    assert torch.allclose(*gradient, atol=1e-5)


@pytest.mark.parametrize("num_layers", [1, 3])
def test_folding_in_a_training_user_gives_its_embedding_less_layer_0(
    planted_graph: HeteroData, num_layers: int
):
    gcn = LightGCN(num_layers=num_layers, num_steps=5, channels=4).fit(planted_graph)
    user, item = gcn._checkpoints.at(1.0)
    matrix = gcn._fitted()
    dense = torch.from_numpy(matrix.by_user.toarray())
    norm = dense / (matrix.user_count.unsqueeze(1) * matrix.item_count).sqrt()
    users, items = [user], [item]
    for _ in range(num_layers):
        users, items = [*users, norm @ items[-1]], [*items, norm.T @ users[-1]]
    own = torch.stack(users).mean(0) - user / (num_layers + 1)
    assert torch.allclose(gcn.fold_in(_whole_rows(planted_graph)), own, atol=1e-5)
    scores = gcn.score(_whole_rows(planted_graph))
    assert torch.allclose(scores, own @ torch.stack(items).mean(0).T, atol=1e-4)


def test_item_exponent_scales_by_degree_over_the_typical_degree():
    rows = [("a", "x"), ("b", "x"), ("c", "x"), ("a", "y")]
    graph = from_frame(pd.DataFrame(rows, columns=["user", "item"]))
    gcn = LightGCN(num_layers=1, num_steps=1, channels=2, item_exponent=0.0).fit(graph)
    # Degrees 3 and 1; the mean over the four interactions is (9 + 1) / 4.
    item = gcn._items.at(1.0)[0] / 2
    expected = (
        item[0] * 3**-0.5 * (3 / 2.5) ** 0.5 + item[1] * 1**-0.5 * (1 / 2.5) ** 0.5
    ) / 2**0.5
    assert torch.allclose(gcn.fold_in(Support(torch.tensor([[0, 1]])))[0], expected, atol=1e-6)


def test_sparse_product_has_the_right_gradient():
    matrix = sp.random(5, 4, density=0.5, random_state=0, format="csr")
    dense = torch.rand(4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: _product(matrix, x, matrix.T.tocsr()), dense)


def test_same_seed_same_scores_and_another_seed_others(planted_graph: HeteroData):
    support = Support(torch.tensor([[0, 1], [2, -1]]))
    one, same, other = (
        LightGCN(num_steps=3, seed=seed).fit(planted_graph).score(support) for seed in (0, 0, 1)
    )
    assert torch.equal(one, same)
    assert not torch.allclose(one, other)


def test_scores_depend_on_the_set_of_own_items_only(planted_graph: HeteroData):
    gcn = LightGCN(num_steps=3).fit(planted_graph)
    batch = gcn.score(Support(torch.tensor([[3, 5, 9], [1, -1, -1], [-1, -1, -1]])))
    alone = gcn.score(Support(torch.tensor([[9, 3, 5, -1]])))
    assert torch.allclose(batch[0], alone[0], atol=1e-5)
    assert not torch.allclose(batch[0], batch[1])


def test_stopping_early_needs_no_new_fit(planted_graph: HeteroData):
    gcn = LightGCN(num_steps=10).fit(planted_graph)
    support = Support(torch.tensor([[0, 1]]))
    full = gcn.score(support)
    gcn.stop_at = 0.2
    assert not torch.allclose(gcn.score(support), full)


def test_an_empty_support_is_ranked_by_popularity(planted_graph: HeteroData):
    gcn = LightGCN(num_steps=3, popularity_weight=3.0).fit(planted_graph)
    expected = gcn._fitted().log_popularity
    assert torch.equal(gcn.score(Support(torch.full((1, 2), -1)))[0], expected)
    assert torch.equal(gcn.score(Support(torch.empty(1, 0, dtype=torch.long)))[0], expected)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"channels": 0}, "channels=0 must be at least 1"),
        ({"num_layers": 0}, "num_layers=0 must be at least 1"),
        ({"num_steps": 0}, "num_steps=0 must be at least 1"),
        ({"batch_size": 0}, "batch_size=0 must be at least 1"),
        ({"weight_decay": -1.0}, "weight_decay=-1.0 must be at least 0"),
        ({"lr": 0.0}, "lr=0.0 must be above 0"),
        ({"averaging": 1.0}, "averaging=1.0 must be at least 0 and below 1"),
        ({"stop_at": 2.0}, "stop_at=2.0 must be above 0 and at most 1"),
    ],
)
def test_bad_options_are_refused(option: dict[str, float], message: str):
    with pytest.raises(ConfigError, match=message):
        LightGCN(**option)


def test_an_unfitted_scorer_and_an_unknown_item_are_refused(planted_graph: HeteroData):
    with pytest.raises(DataError, match="LightGCN is not fitted"):
        LightGCN().fold_in(Support(torch.tensor([[0]])))
    gcn = LightGCN(num_steps=1).fit(planted_graph)
    with pytest.raises(DataError, match="support item 100 is outside the catalogue"):
        gcn.fold_in(Support(torch.tensor([[100]])))


def test_a_diverging_fit_is_refused(planted_graph: HeteroData):
    with pytest.raises(NonFiniteError, match=r"the loss of step .*; lower lr=1e\+30"):
        LightGCN(lr=1e30, num_steps=5).fit(planted_graph)


def test_one_item_per_user_is_enough_to_fit():
    train = from_frame(planted_interactions(6, 5, 2, per_user=1))
    gcn = LightGCN(num_steps=2).fit(train)
    assert gcn.score(Support(torch.tensor([[0]]))).isfinite().all()


def test_search_space_builds_and_names_attributes():
    space = LightGCN.search_space()
    scorer = space.build(**{name: axis.first for name, axis in space.axes.items()})
    assert all(hasattr(scorer, name) for name in space.axes)
