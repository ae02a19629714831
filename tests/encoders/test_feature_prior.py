"""What features say before the first interaction."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data.cold_users import Support
from graphmeta.encoders.feature_prior import RIDGE, SMOOTHING, FeaturePrior
from graphmeta.encoders.interaction_matrix import InteractionMatrix
from graphmeta.tasks.episode import EpisodeBatch
from graphmeta.tasks.episode_sampler import EpisodeSampler

NUM_USERS, NUM_ITEMS = 200, 100


def features() -> Tensor:
    return torch.randn(NUM_USERS, 3, generator=torch.Generator().manual_seed(5))


def dense(graph: HeteroData) -> Tensor:
    matrix = torch.zeros(NUM_USERS, NUM_ITEMS)
    matrix[tuple(graph["user", "rates", "item"].edge_index)] = 1.0
    return matrix


def prior_of(graph: HeteroData, user_x: Tensor) -> FeaturePrior:
    edge_index = graph["user", "rates", "item"].edge_index
    return FeaturePrior(
        user_x, InteractionMatrix(edge_index, num_users=NUM_USERS, num_items=NUM_ITEMS)
    )


def episodes_of(graph: HeteroData, items: list[list[int]], user_x: Tensor) -> EpisodeBatch:
    support = Support(torch.tensor(items), user_x=user_x)
    generator = torch.Generator().manual_seed(0)
    return EpisodeSampler(graph).sample(support, generator=generator)


def test_it_is_the_ridge_regression(planted_graph: HeteroData) -> None:
    x, rows = features(), dense(planted_graph)
    new = torch.tensor([[1.0, -2.0, 0.5]])
    centred, rate = (x - x.mean(0)).double(), rows.mean(0).double()
    gram = centred.T @ centred + RIDGE * torch.eye(3).double()
    coefficient = torch.linalg.solve(gram, centred.T @ rows.double())
    predicted = rate + (new - x.mean(0)).double() @ coefficient
    s = SMOOTHING / NUM_USERS
    wanted = ((predicted + s) / (rate + s)).clamp(min=0.1).log()
    prior = prior_of(planted_graph, x)
    found = prior(episodes_of(planted_graph, [[-1]], new))
    torch.testing.assert_close(found.double(), wanted, atol=1e-5, rtol=1e-4)


def test_a_training_users_own_row_is_taken_out(planted_graph: HeteroData) -> None:
    x, rows, user = features(), dense(planted_graph), 7
    centred, rate = (x - x.mean(0)).double(), rows.mean(0).double()
    others = torch.arange(NUM_USERS) != user
    gram = centred[others].T @ centred[others] + RIDGE * torch.eye(3).double()
    target = (rows.double() - rate)[others]
    change = centred[user] @ torch.linalg.solve(gram, centred[others].T @ target)
    s = SMOOTHING / NUM_USERS
    wanted = ((rate + s + change) / (rate + s)).clamp(min=0.1).log()
    own = torch.tensor([user, -1])
    both = x[[user, user]]
    kept = torch.stack([rows[user], torch.zeros(NUM_ITEMS)])
    found = prior_of(planted_graph, x).log_lift(both, own, kept)
    torch.testing.assert_close(found[0].double(), wanted, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(found[0], found[1])
    alone = prior_of(planted_graph, x).log_lift(both, own, None)
    torch.testing.assert_close(found[1], alone[1])


def test_weights_follow_the_support_size(planted_graph: HeteroData) -> None:
    prior, new = prior_of(planted_graph, features()), torch.ones(2, 3)
    episodes = episodes_of(planted_graph, [[-1], [3]], new)
    lift = prior.log_lift(new, episodes.own_user, None)
    with torch.no_grad():
        prior.alone.fill_(2.0)
        prior.curve.values["lift"].fill_(0.25)
    torch.testing.assert_close(prior(episodes), torch.stack([2.0 * lift[0], 0.25 * lift[1]]))


def test_users_without_features_get_nothing(planted_graph: HeteroData) -> None:
    episodes = episodes_of(planted_graph, [[3]], torch.ones(1, 3))
    unknown = replace(episodes, support=Support(episodes.support.item_index))
    found = prior_of(planted_graph, features())(unknown)
    assert found.shape == (1, NUM_ITEMS)
    assert not bool(found.any())
