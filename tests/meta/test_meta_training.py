"""Meta-training: what is drawn, what the loss is, that it learns planted structure."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import HeteroData

from graphmeta.data.cold_users import Support
from graphmeta.encoders import ItemTable, RelationEncoder
from graphmeta.errors import ConfigError, DataError
from graphmeta.meta import MAML, meta_train
from graphmeta.meta.meta_training import draw_supports, query_loss
from graphmeta.tasks.csr import CSR
from graphmeta.tasks.episode import RATES, REV_RATES
from graphmeta.tasks.episode_sampler import EpisodeSampler


def two_groups(n_users: int = 40, n_items: int = 20) -> HeteroData:
    """Even users rate most even items, odd users most odd ones."""
    generator = torch.Generator().manual_seed(0)
    same = (torch.arange(n_users)[:, None] + torch.arange(n_items)) % 2 == 0
    rates = same & (torch.rand(n_users, n_items, generator=generator) < 0.7)
    graph = HeteroData()
    graph["user"].num_nodes, graph["item"].num_nodes = n_users, n_items
    edge_index = rates.nonzero().T.contiguous()
    graph[RATES].edge_index, graph[REV_RATES].edge_index = edge_index, edge_index.flip(0)
    return graph


def learner(graph: HeteroData) -> MAML:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = RelationEncoder(graph.metadata(), out_channels=8, num_layers=2)
        return MAML(encoder, adapt=("layers.*.shift.*",), inner_steps=1)


def test_supports_are_the_users_own_items_and_leave_a_query() -> None:
    edge_index = torch.tensor([[0, 0, 0, 1, 1, 2], [0, 1, 2, 3, 4, 5]])
    items = CSR.from_edge_index(edge_index, num_rows=3)
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        support, seen = draw_supports(items, torch.tensor([1, 0]), 2, 6, generator)
        assert seen.tolist() == [[0, 0, 0, 1, 1, 0], [1, 1, 1, 0, 0, 0]]
        assert support.size.tolist() == [1, 2]
        assert set(support.item_index[0].tolist()) <= {3, 4, -1}
        assert set(support.item_index[1].tolist()) <= {0, 1, 2}


def test_query_loss_by_hand() -> None:
    scores = torch.tensor([[5.0, 1.0, 2.0, 0.0]])
    loss = query_loss(scores, Support(torch.tensor([[0]])), torch.tensor([[1.0, 1.0, 1.0, 0.0]]))
    log_p = torch.tensor([1.0, 2.0, 0.0]).log_softmax(0)
    torch.testing.assert_close(loss, -(log_p[0] + log_p[1]) / 2)


def test_it_learns_the_planted_groups_for_users_it_never_saw() -> None:
    graph = two_groups()
    model, table = learner(graph), ItemTable(graph, channels=8)
    sampler = EpisodeSampler(graph, num_neighbors=(4, 4))
    losses = list(
        meta_train(model, table, graph, sampler=sampler, epochs=15, batch_size=8, lr=0.02)
    )
    assert losses[-1] < losses[0] - 0.2
    support = Support(torch.tensor([[0, 2], [1, 3]]))
    episodes = sampler.sample(support, generator=torch.Generator().manual_seed(0))
    scores = model.score(episodes, model.adapt(episodes, table), table)
    assert set((scores[0].topk(8).indices % 2).tolist()) == {0}
    assert set((scores[1].topk(8).indices % 2).tolist()) == {1}


def test_same_seed_same_bytes() -> None:
    graph = two_groups()
    runs = []
    for _ in range(2):
        model, table = learner(graph), ItemTable(graph, channels=8)
        sampler = EpisodeSampler(graph, num_neighbors=(2, 2))
        runs.append(list(meta_train(model, table, graph, sampler=sampler, epochs=2)))
    assert runs[0] == runs[1]


def test_bad_input() -> None:
    graph = two_groups()
    sampler = EpisodeSampler(graph)
    table = ItemTable(graph, channels=8)
    with pytest.raises(ConfigError, match="epochs=0"):
        next(meta_train(learner(graph), table, graph, sampler=sampler, epochs=0))
    graph[RATES].edge_index = torch.tensor([[0, 1], [0, 1]])
    with pytest.raises(DataError, match="no training user has two items"):
        next(meta_train(learner(graph), table, graph, sampler=sampler, epochs=1))
