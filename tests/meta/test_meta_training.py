"""Meta-training: that it learns planted structure, repeats itself, and can be continued."""

from __future__ import annotations

import math

import pytest
import torch
from torch_geometric.data import HeteroData

from graphmeta.data.cold_users import Support
from graphmeta.encoders import CatalogueHead, RelationEncoder
from graphmeta.errors import ConfigError, DataError, NonFiniteError
from graphmeta.meta import MAML, MetaTrainer
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


def trainer_of(graph: HeteroData, channels: int = 8, **options: float) -> MetaTrainer:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = RelationEncoder(graph.metadata(), out_channels=channels, num_layers=2)
        learner = MAML(encoder, adapt=("layers.*.shift.*",), inner_steps=1)
    head = CatalogueHead(graph, channels=channels)
    sampler = EpisodeSampler(graph, num_neighbors=(4, 4))
    return MetaTrainer(learner, head, graph, sampler=sampler, **options)  # type: ignore[arg-type]


def test_it_learns_the_planted_groups_for_users_it_never_saw() -> None:
    trainer = trainer_of(two_groups(), batch_size=8, lr=0.01)
    losses = [trainer.run_epoch() for _ in range(15)]
    assert losses == trainer.losses
    assert sum(losses[-3:]) / 3 < losses[0] - 0.2
    support = Support(torch.tensor([[0, 2], [1, 3]]))
    episodes = trainer.sampler.sample(support, generator=torch.Generator().manual_seed(0))
    fast = trainer.learner.adapt(episodes, trainer.head)
    scores = trainer.learner.score(episodes, fast, trainer.head)
    assert set((scores[0].topk(8).indices % 2).tolist()) == {0}
    assert set((scores[1].topk(8).indices % 2).tolist()) == {1}


def test_same_seed_same_bytes_and_another_seed_others() -> None:
    graph = two_groups()
    one, same, other = (
        [trainer.run_epoch() for _ in range(2)]
        for trainer in (trainer_of(graph, seed=s, batch_size=8) for s in (0, 0, 1))
    )
    assert one == same != other


def test_a_restored_trainer_goes_on_as_if_it_had_never_stopped() -> None:
    graph = two_groups()
    whole = trainer_of(graph, batch_size=8)
    whole.run_epoch()
    state = {name: value.clone() for name, value in whole.state().items()}
    whole.run_epoch()
    second = trainer_of(graph, batch_size=8)
    second.restore(state)
    second.run_epoch()
    assert second.losses == whole.losses
    for name, weight in whole.weights().items():
        assert torch.equal(weight, second.weights()[name])


def test_training_without_adaptation_leaves_the_step_sizes_alone() -> None:
    trainer = trainer_of(two_groups(), adapted_share=0.0, batch_size=8)
    before = trainer.learner.log_step_size.clone()
    trainer.run_epoch()
    assert torch.equal(before, trainer.learner.log_step_size)
    adapted = trainer_of(two_groups(), adapted_share=1.0, batch_size=8)
    adapted.run_epoch()
    assert not torch.equal(before, adapted.learner.log_step_size)


def test_support_sizes_are_log_uniform() -> None:
    trainer = trainer_of(two_groups())
    draws = torch.rand(20_000, generator=torch.Generator().manual_seed(0)).tolist()
    share = torch.bincount(torch.tensor([trainer._support_size(d) for d in draws])) / 20_000
    wanted = [0.0, *(math.log((k + 1) / k) / math.log(11) for k in range(1, 11))]
    assert share.tolist() == pytest.approx(wanted, abs=0.01)


def test_bad_input() -> None:
    graph = two_groups()
    with pytest.raises(ConfigError, match="batch_size=0"):
        trainer_of(graph, batch_size=0)
    with pytest.raises(DataError, match="training state belongs to a model of another shape"):
        trainer_of(graph).restore(trainer_of(graph, channels=4).state())
    broken = trainer_of(graph)
    with torch.no_grad():
        broken.head.bias[0] = float("nan")
    with pytest.raises(NonFiniteError, match=r"not finite|the outer loss is nan in epoch 0"):
        broken.run_epoch()
    graph[RATES].edge_index = torch.tensor([[0, 1], [0, 1]])
    with pytest.raises(DataError, match="no training user has two items"):
        trainer_of(graph)
