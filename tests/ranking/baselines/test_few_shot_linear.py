from __future__ import annotations

import copy
from itertools import combinations

import numpy as np
import pytest
import torch
from torch_geometric.data import HeteroData

import graphmeta.ranking.baselines.few_shot_linear as module
from graphmeta.data import IdMap, Support, bipartite_graph
from graphmeta.ranking.baselines import FewShotLinear, Popularity


def random_graph(n_users: int, n_items: int, *, seed: int = 0) -> tuple[np.ndarray, HeteroData]:
    x = (np.random.default_rng(seed).random((n_users, n_items)) < 0.45).astype(np.float64)
    x[:, 0] = 1
    graph = bipartite_graph(
        torch.from_numpy(np.stack(x.nonzero())),
        user_ids=IdMap(range(n_users)),
        item_ids=IdMap(range(n_items)),
    )
    return x, graph


def by_enumeration(x: np.ndarray, k: int, ridge: float, weight_exponent: float) -> np.ndarray:
    """Ridge regression on every support of every user, each user's supports sharing its weight."""
    n_items = x.shape[1]
    a, b = np.zeros((n_items + 1, n_items + 1)), np.zeros((n_items + 1, n_items))
    for row in x:
        items = row.nonzero()[0]
        if len(items) <= k:
            continue
        subsets = list(combinations(items, k))
        for subset in subsets:
            z = np.zeros(n_items + 1)
            z[0] = 1
            z[np.array(subset) + 1] = 1
            rest = row.copy()
            rest[list(subset)] = 0
            weight = (len(items) - k) ** -weight_exponent / len(subsets)
            a += weight * np.outer(z, z)
            b += weight * np.outer(z, rest)
    penalty = np.eye(n_items + 1) * ridge * np.diag(a)[1:].mean()
    penalty[0, 0] = 0
    return np.linalg.solve(a + penalty, b)


@pytest.mark.parametrize("shape", [(30, 8), (6, 9)])
@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize("ridge", [0.1, 30.0])
def test_equals_regression_on_all_episodes(shape: tuple[int, int], k: int, ridge: float) -> None:
    x, graph = random_graph(*shape)
    scorer = copy.copy(FewShotLinear(ridge=1.0).fit(graph))
    support = Support(torch.tensor([[1, 4, 5], [7, 2, 0]])[:, :k])
    scorer.score(support)  # a factor of another ridge is not used again
    scorer.ridge = ridge
    z = np.concatenate([np.ones((2, 1)), support.to_dense(shape[1]).numpy()], axis=1)
    expected = z @ by_enumeration(x, k, ridge, 0.5)
    np.testing.assert_allclose(scorer.score(support).numpy(), expected, rtol=1e-3, atol=1e-3)


def timed_graph(n_users: int, n_items: int) -> tuple[np.ndarray, np.ndarray, HeteroData]:
    """Return the rows, when each item came (-1: never), and the graph of both."""
    rng = np.random.default_rng(1)
    x, _ = random_graph(n_users, n_items, seed=1)
    time = np.where(x > 0, rng.permuted(np.tile(np.arange(n_items), (n_users, 1)), axis=1), -1)
    user, item = x.nonzero()
    graph = bipartite_graph(
        torch.from_numpy(np.stack([user, item])),
        user_ids=IdMap(range(n_users)),
        item_ids=IdMap(range(n_items)),
        time=torch.from_numpy(time[user, item]),
    )
    return x, time, graph


@pytest.mark.parametrize("shape", [(30, 8), (6, 9)])
@pytest.mark.parametrize("k", [1, 2, 3])
def test_first_items_are_the_only_supports_where_asked(shape: tuple[int, int], k: int) -> None:
    x, time, graph = timed_graph(*shape)
    a, b = np.zeros((shape[1] + 1, shape[1] + 1)), np.zeros((shape[1] + 1, shape[1]))
    for row, when in zip(x, time, strict=True):
        if row.sum() <= k:
            continue
        rank = np.where(row > 0, when, np.inf).argsort()
        z = np.zeros(shape[1] + 1)
        z[0], z[rank[:k] + 1] = 1, 1
        weight = (row.sum() - k) ** -0.5
        a += weight * np.outer(z, z)
        b += weight * np.outer(z, row - z[1:])
    penalty = np.eye(shape[1] + 1) * 3.0 * np.diag(a)[1:].mean()
    penalty[0, 0] = 0
    support = Support(torch.tensor([[1, 4, 5], [7, 2, 0]])[:, :k])
    z = np.concatenate([np.ones((2, 1)), support.to_dense(shape[1]).numpy()], axis=1)
    scorer = FewShotLinear(ridge=3.0, first_in_time=True).fit(graph)
    expected = z @ np.linalg.solve(a + penalty, b)
    np.testing.assert_allclose(scorer.score(support).numpy(), expected, rtol=1e-3, atol=1e-3)
    # The same fit serves both kinds.
    scorer.first_in_time = False
    other = FewShotLinear(ridge=3.0).fit(graph).score(support)
    torch.testing.assert_close(scorer.score(support), other)


def test_without_times_first_items_are_random_ones() -> None:
    _, graph = random_graph(30, 8)
    support = Support(torch.tensor([[1, 4]]))
    scores = [FewShotLinear(first_in_time=f).fit(graph).score(support) for f in (False, True)]
    assert scores[0].equal(scores[1])


def test_supports_of_several_sizes_in_one_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    _, graph = random_graph(30, 8)
    item = torch.tensor([[1, 4, 5], [7, -1, -1], [2, 3, -1]])
    together = FewShotLinear().fit(graph).score(Support(item))
    monkeypatch.setattr(module, "KEPT_FLOATS", 1)  # moments of one k at a time
    scorer = FewShotLinear().fit(graph)
    for row, k in ((0, 3), (1, 1), (2, 2), (0, 3)):
        alone = scorer.score(Support(item[row : row + 1, :k]))
        torch.testing.assert_close(alone, together[row : row + 1], rtol=1e-4, atol=1e-5)
        assert len(scorer._moments) == 1


def test_rare_items_beyond_the_inputs_are_scored_but_not_heard() -> None:
    x, graph = random_graph(30, 8)
    rarest = int(x.sum(0).argmin())
    scorer = FewShotLinear(max_inputs=7).fit(graph)
    scores = scorer.score(Support(torch.tensor([[rarest, 0], [0, rarest]])))
    assert scores[0].equal(scores[1])
    assert scores[0].isfinite().all()
    other = scorer.score(Support(torch.tensor([[1, 2]])))
    assert other[0, rarest] != scores[0, rarest]


def test_a_support_longer_than_every_history_gets_popularity() -> None:
    edge = torch.tensor([[0, 0, 1, 1], [0, 1, 1, 2]])
    graph = bipartite_graph(edge, user_ids=IdMap(range(2)), item_ids=IdMap(range(3)))
    support = Support(torch.tensor([[0, 1]]))
    expected = Popularity().fit(graph).score(support)
    assert FewShotLinear().fit(graph).score(support).equal(expected)
