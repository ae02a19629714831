"""The outer loss of training users: what is drawn, what is counted, who is to blame."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from pytorch_metric_learning.losses import NTXentLoss
from torch import Tensor, nn
from torch_geometric.data import HeteroData

from graphmeta.encoders import CatalogueHead
from graphmeta.errors import ConfigError, DataError, NonFiniteError
from graphmeta.meta import (
    MAML,
    FineTuning,
    Learner,
    NeuralProcess,
    Prototypes,
    RelationNetwork,
    Reptile,
    RidgeHead,
)
from graphmeta.meta.outer_loss import OuterDraw, OuterLoss, not_finite, told
from graphmeta.tasks.episode import RATES
from graphmeta.tasks.episode_loader import EpisodeLoader
from graphmeta.tasks.episode_sampler import EpisodeSampler
from graphmeta.tasks.sampled_items import SampledItems

DRAW = OuterDraw(k=2, in_order=False, is_adapted=False)


class Recording(MAML):
    """Keeps what it was asked; the loss is NaN with any of the bad users."""

    bad: Sequence[int] = ()

    def outer_loss(self, episodes: Any, head: Any, seen: Tensor, **options: Any) -> Tensor:
        self.episodes, self.seen, self.options = episodes, seen, options
        loss = super().outer_loss(episodes, head, seen, **options)
        is_bad = torch.isin(episodes.own_user, torch.tensor(self.bad)).any()
        return loss * torch.nan if bool(is_bad) else loss


def outer_loss_of(
    encoder: nn.Module, head: CatalogueHead, graph: HeteroData, **options: Any
) -> OuterLoss:
    sampler = EpisodeSampler(graph, num_neighbors=(2, 2))
    loader = EpisodeLoader(graph, sampler=sampler, random_share=options.pop("random_share", 0.0))
    return OuterLoss(Recording(encoder), head, loader, adapted_share=0.3, **options)


def test_a_draw_is_log_uniform_in_k_and_adapts_as_often_as_asked(
    encoder: nn.Module, head: CatalogueHead, graph: HeteroData
) -> None:
    outer_loss = outer_loss_of(encoder, head, graph)
    generator = torch.Generator().manual_seed(1)
    draws = [outer_loss.draw(generator) for _ in range(20_000)]
    share = torch.bincount(torch.tensor([draw.k for draw in draws])) / 20_000
    wanted = [0.0, *(math.log((k + 1) / k) / math.log(11) for k in range(1, 11))]
    assert share.tolist() == pytest.approx(wanted, abs=0.01)
    assert sum(draw.is_adapted for draw in draws) / 20_000 == pytest.approx(0.3, abs=0.01)
    assert not any(draw.in_order for draw in draws)  # The edges have no times.
    graph[RATES].time = torch.arange(graph[RATES].edge_index.size(1)).double()
    timed = outer_loss_of(encoder, head, graph)
    assert all(timed.draw(generator).in_order for _ in range(100))
    mixed = outer_loss_of(encoder, head, graph, random_share=0.25)
    draws = [mixed.draw(generator) for _ in range(20_000)]
    assert sum(draw.in_order for draw in draws) / 20_000 == pytest.approx(0.75, abs=0.01)
    with pytest.raises(ConfigError, match=r"random_share=1\.5 must be in 0\.\.1"):
        outer_loss_of(encoder, head, graph, random_share=1.5)


@pytest.mark.parametrize("k", [0, 1, 3, 100])
def test_n_query_counts_what_is_left_to_predict(
    encoder: nn.Module, head: CatalogueHead, graph: HeteroData, k: int
) -> None:
    outer_loss = outer_loss_of(encoder, head, graph)
    users = outer_loss.loader.users[1:6]
    draw = OuterDraw(k=k, in_order=False, is_adapted=False)
    outer_loss(users, draw, torch.Generator().manual_seed(0))
    learner = outer_loss.learner
    shown = learner.episodes.support.to_dense(9) > 0
    assert outer_loss.n_query(users, draw) == int((learner.seen * ~shown).sum())
    assert learner.episodes.own_user.tolist() == users.tolist()
    assert learner.options["is_adapted"] is False
    assert outer_loss.n_query(users[:0], draw) == 0


def test_it_names_the_users_to_blame(
    encoder: nn.Module, head: CatalogueHead, graph: HeteroData
) -> None:
    outer_loss = outer_loss_of(encoder, head, graph)
    bad = outer_loss.loader.users[[1, 4]].tolist()
    outer_loss.learner.bad = bad
    batch, generator = outer_loss.loader.users[:6], torch.Generator().manual_seed(0)
    with pytest.raises(NonFiniteError) as error:
        outer_loss(batch, DRAW, generator)
    assert str(error.value) == (
        f"the outer loss is nan, for training users {bad} in a batch of 6; "
        "lower lr or check the features"
    )
    with pytest.raises(NonFiniteError, match=r"training users \[.*\] and 1 more in a batch of 6"):
        outer_loss(batch, DRAW, generator, names_culprits=False)


def test_it_names_the_weights_to_blame(
    encoder: nn.Module, head: CatalogueHead, graph: HeteroData
) -> None:
    outer_loss = outer_loss_of(encoder, head, graph)
    with torch.no_grad():
        head.bias[0] = torch.inf
    message = r"in a batch of 3; the weights \['head.bias'\] are not finite; lower lr or"
    with pytest.raises(NonFiniteError, match=message):
        outer_loss(outer_loss.loader.users[:3], DRAW, torch.Generator().manual_seed(0))
    assert not_finite({"a": torch.tensor([1.0, torch.nan]), "b": torch.ones(2)}) == ["a"]
    assert told(torch.arange(7)) == "training users [0, 1, 2, 3, 4] and 2 more"


def test_bad_input(encoder: nn.Module, head: CatalogueHead, graph: HeteroData) -> None:
    graph[RATES].edge_index = torch.tensor([[0, 1], [0, 1]])
    with pytest.raises(DataError, match="no training user has two items"):
        outer_loss_of(encoder, head, graph)


LEARNERS: dict[str, Callable[[nn.Module], Learner]] = {
    "maml": MAML,
    "reptile": Reptile,
    "fine-tuning": FineTuning,
    "ridge": lambda e: RidgeHead(e, ridge=1.0),
    "relation network": lambda e: RelationNetwork(e, channels=6),
    "neural process": lambda e: NeuralProcess(e, channels=6),
    "prototypes": lambda e: Prototypes(e, channels=6, metric_loss=NTXentLoss()),
}


@pytest.mark.parametrize("name", LEARNERS)
@pytest.mark.parametrize("is_adapted", [False, True])
def test_every_learner_takes_items_that_stand_for_the_catalogue(
    name: str, is_adapted: bool, encoder: nn.Module, head: CatalogueHead, graph: HeteroData
) -> None:
    learner = LEARNERS[name](encoder).train()
    sampler = EpisodeSampler(graph, num_neighbors=(2, 2))
    generator = torch.Generator().manual_seed(0)
    episodes, seen = EpisodeLoader(graph, sampler=sampler, k_max=3).load(
        torch.arange(4), 2, in_order=False, generator=generator
    )

    def loss(sampled: SampledItems | None) -> Tensor:
        return learner.outer_loss(
            episodes,
            head,
            seen if sampled is None else seen[:, sampled.item],
            is_adapted=is_adapted,
            sampled=sampled,
            generator=torch.Generator().manual_seed(1),
        )

    every = SampledItems(torch.arange(9), torch.zeros(9), n_items=9)
    torch.testing.assert_close(loss(every), loss(None))


def test_sampled_steps_descend_on_fewer_columns(
    encoder: nn.Module, head: CatalogueHead, graph: HeteroData
) -> None:
    outer_loss = outer_loss_of(encoder, head, graph, num_sampled=2)
    loss = outer_loss(torch.tensor([0, 1]), DRAW, torch.Generator().manual_seed(0))
    loss.backward()
    learner = outer_loss.learner
    sampled = learner.options["sampled"]
    own = learner.episodes.own_user
    dense = torch.zeros(12, 9).index_put_(tuple(graph[RATES].edge_index), torch.ones(()))
    known = dense[own].sum(0).nonzero().flatten()  # All that the two have, drawn or not.
    assert set(known.tolist()) <= set(sampled.item.tolist())
    assert len(sampled.item) < 9
    assert torch.equal(learner.seen, dense[own][:, sampled.item])
    touched = head.table.output.grad.abs().sum(1).nonzero().flatten()
    assert set(touched.tolist()) <= set(sampled.item.tolist())
