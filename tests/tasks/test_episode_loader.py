"""The episode loader: every user once, the same by seed and epoch, and as MetaTrainer draws."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch_geometric.data import HeteroData

from graphmeta.data import IdMap, from_frame, planted_interactions
from graphmeta.encoders import CatalogueHead, RelationEncoder
from graphmeta.errors import ConfigError, DataError
from graphmeta.meta import MAML, MetaTrainer
from graphmeta.tasks.episode import RATES, EpisodeBatch
from graphmeta.tasks.episode_loader import EpisodeLoader
from graphmeta.tasks.episode_sampler import EpisodeSampler

Batch = tuple[EpisodeBatch, Tensor]


@pytest.fixture
def graph() -> HeteroData:
    """Thirty users of two to six items; the last has one."""
    frame = planted_interactions(30, 20, 2, per_user=6, seed=1)
    keep = frame.groupby("user").cumcount() < frame["user"].str[1:].astype(int) % 5 + 2
    frame = frame[keep & ((frame["user"] != "u29") | ~frame["user"].duplicated())]
    return from_frame(frame, rating="rating", time="time")


def loader_of(graph: HeteroData, **options: Any) -> EpisodeLoader:
    return EpisodeLoader(graph, sampler=EpisodeSampler(graph, num_neighbors=(3, 2)), **options)


def same(a: Batch, b: Batch) -> bool:
    tensors = [
        [e.support.item_index, e.own_user, *e.node_index_dict.values(), *e.edge_index_dict.values()]
        for e in (a[0], b[0])
    ]
    return torch.equal(a[1], b[1]) and all(torch.equal(x, y) for x, y in zip(*tensors, strict=True))


def all_same(a: Iterable[Batch], b: Iterable[Batch]) -> bool:
    return all(same(x, y) for x, y in zip(a, b, strict=True))


def test_an_epoch_has_each_user_with_two_items_once(graph: HeteroData) -> None:
    loader = loader_of(graph, batch_size=8)
    batches = list(loader)
    assert len(batches) == len(loader) == 4
    assert [len(episodes) for episodes, _ in batches] == [8, 8, 8, 5]
    degree = graph[RATES].edge_index[0].bincount()
    wanted = (degree >= 2).nonzero().flatten()
    assert len(wanted) == 29
    seen_users = torch.cat([episodes.own_user for episodes, _ in batches])
    assert not torch.equal(seen_users, wanted)
    assert torch.equal(seen_users.sort().values, wanted)


def test_support_and_query_make_up_a_users_row(graph: HeteroData) -> None:
    dense = torch.zeros(30, 20)
    dense[tuple(graph[RATES].edge_index)] = 1.0
    dense = dense * (dense.sum(0) > 1)  # What nobody else has is left out.
    loader = loader_of(graph, batch_size=8)
    for _ in range(3):
        for episodes, seen in loader:
            assert torch.equal(seen, dense[episodes.own_user])
            query = seen - episodes.support.to_dense(20)
            assert bool((query >= 0).all())
            assert bool((query.sum(1) >= 1).all())
            users = episodes.node_index_dict["user"]
            assert not bool((users == episodes.own_user.unsqueeze(1)).any())


def test_supports_are_the_first_items_where_there_are_times(graph: HeteroData) -> None:
    user, item = graph[RATES].edge_index
    first = torch.full((30,), -1)
    for edge in graph[RATES].time.argsort(descending=True).tolist():
        first[user[edge]] = item[edge]

    def share(of: HeteroData) -> float:
        loader = loader_of(of, batch_size=29, seed=3)
        batches = [next(iter(loader))[0] for _ in range(30)]
        found = [e.support.item_index[:, 0] == first[e.own_user] for e in batches]
        return float(torch.stack(found).float().mean())

    assert share(graph) == 1.0
    timeless = graph.clone()
    del timeless[RATES].time
    assert share(timeless) < 0.5


def test_support_sizes_are_log_uniform(graph: HeteroData) -> None:
    draws = torch.rand(20_000, generator=torch.Generator().manual_seed(0)).tolist()
    featureless, featured = loader_of(graph), graph.clone()
    featured["user"].x = torch.eye(30)
    for loader, zero in ((featureless, 0.0), (loader_of(featured), 0.1)):
        share = torch.bincount(torch.tensor([loader.support_size(d) for d in draws])) / 20_000
        wanted = torch.tensor([0.0, *(math.log((k + 1) / k) / math.log(11) for k in range(1, 11))])
        if zero:  # What is below 0.1 would all have been ones.
            wanted[0], wanted[1] = zero, wanted[1] - zero
        assert share.tolist() == pytest.approx(wanted.tolist(), abs=0.01)


def test_seed_and_epoch_decide(graph: HeteroData) -> None:
    loader, again, other = (loader_of(graph, batch_size=8, seed=s) for s in (0, 0, 1))
    epochs = [list(loader), list(loader)]
    state = torch.get_rng_state()
    assert all_same(epochs[0], again)
    assert torch.equal(state, torch.get_rng_state())
    assert all_same(epochs[1], again)
    assert not all_same(*epochs)
    assert not all_same(epochs[0], other)
    loader.set_epoch(1)
    assert loader.epoch == 1
    assert all_same(epochs[1], loader)


def test_workers_change_nothing(graph: HeteroData) -> None:
    alone = list(loader_of(graph, batch_size=8))
    shared = DataLoader(loader_of(graph, batch_size=8), batch_size=None, num_workers=2)
    assert len(shared) == 4
    assert all_same(alone, shared)


class Recorder(MAML):
    """Keeps the episodes that a trainer makes, and draws what a learner may draw."""

    def outer_loss(self, episodes: EpisodeBatch, head: CatalogueHead, seen: Tensor, **_: object):
        self.batches = [*getattr(self, "batches", []), (episodes, seen)]
        return head.bias.sum()


def test_meta_trainer_could_be_built_on_it(graph: HeteroData) -> None:
    """The same generator gives the batches that `MetaTrainer` trains on."""
    encoder = RelationEncoder(graph.metadata(), out_channels=4, num_layers=1)
    learner, head = Recorder(encoder), CatalogueHead(graph, channels=4)
    loader = loader_of(graph, batch_size=8)
    trainer = MetaTrainer(learner, head, loader, seed=5)
    for _ in range(2):
        trainer.run_epoch()
    generator, batches = torch.Generator().manual_seed(5), []
    for _ in range(2):
        for users in loader.user_batches(generator):
            size, _ = torch.rand(2, generator=generator).tolist()  # The last: is_adapted.
            in_order = loader.is_timed
            k = loader.support_size(size)
            batches.append(loader.load(users, k, in_order=in_order, generator=generator))
    assert len(batches) == 8
    assert all_same(batches, learner.batches)


def test_bad_input(graph: HeteroData) -> None:
    with pytest.raises(ConfigError, match="batch_size=0 and k_max=10 must be at least 1"):
        loader_of(graph, batch_size=0)
    with pytest.raises(ConfigError, match="k_max=0 must be at least 1"):
        loader_of(graph, k_max=0)
    other = from_frame(planted_interactions(30, 40))
    with pytest.raises(DataError, match="30 users and 40 items, but this one has 30 and 20"):
        EpisodeLoader(graph, sampler=EpisodeSampler(other))
    graph[RATES].edge_index = torch.tensor([[0, 1], [0, 1]])
    del graph[RATES].time, graph[RATES].rating
    with pytest.raises(DataError, match="no training user has two items"):
        loader_of(graph)


def test_an_auto_encoder_is_shown_a_share_of_every_history(graph: HeteroData) -> None:
    loader = loader_of(graph, k_max=3, support_share=0.5)
    shown = [
        (int(size), int(whole))
        for episodes, seen in loader
        for size, whole in zip(episodes.support.size, seen.sum(1), strict=True)
    ]
    # Of two to six items half, at least one, at most three.
    assert set(shown) == {(1, 2), (1, 3), (2, 4), (2, 5), (3, 6)}
    assert not loader.is_timed  # Any items, not the first ones.
    most = loader_of(graph, k_max=2, support_share=0.9)
    assert {int(size) for episodes, _ in most for size in episodes.support.size} == {1, 2}


@pytest.mark.parametrize("share", [0.0, 1.0, -0.5])
def test_a_share_outside_its_range_is_refused(graph: HeteroData, share: float) -> None:
    with pytest.raises(ConfigError, match=f"support_share={share} must be above 0 and below 1"):
        loader_of(graph, support_share=share)


def test_shilled_supports_hold_one_click_that_is_not_the_users(graph: HeteroData) -> None:
    options = {"in_order": True}
    users = loader_of(graph).users
    plain, seen = loader_of(graph).load(
        users, 2, **options, generator=torch.Generator().manual_seed(0)
    )
    shilled, also_seen = loader_of(graph, shilled_share=1.0).load(
        users, 2, **options, generator=torch.Generator().manual_seed(0)
    )
    assert torch.equal(seen, also_seen)
    assert torch.equal(shilled.support.item_index[:, :2], plain.support.item_index)
    click = shilled.support.item_index[:, 2:]
    assert click.shape == (len(users), 1)
    assert not seen.gather(1, click).any()
    assert len(click.unique()) > 5
    assert torch.equal(shilled.support.size, plain.support.size + 1)


def test_a_share_of_the_batches_is_shilled(graph: HeteroData) -> None:
    loader, generator = loader_of(graph, shilled_share=0.3), torch.Generator().manual_seed(0)
    users = loader.users[:2]
    widths = [
        loader.load(users, 1, in_order=False, generator=generator)[0].support.item_index.size(1)
        for _ in range(200)
    ]
    assert sum(width == 2 for width in widths) / 200 == pytest.approx(0.3, abs=0.08)
    assert set(widths) == {1, 2}
    nothing = loader_of(graph, shilled_share=1.0).load(
        users, 0, in_order=False, generator=generator
    )
    assert nothing[0].support.item_index.size(1) == 0


def test_without_a_share_nothing_more_is_drawn(graph: HeteroData) -> None:
    assert all_same(loader_of(graph), loader_of(graph, shilled_share=0.0))
    for share in (-0.1, 1.1):
        with pytest.raises(ConfigError, match=f"shilled_share={share} must be in 0"):
            loader_of(graph, shilled_share=share)


def test_users_arrive_in_a_share_of_the_batches() -> None:
    graph = from_frame(planted_interactions(), time="time")
    sampler = EpisodeSampler(graph)
    with pytest.raises(DataError, match=r"no domains; give them with data\.with_domains"):
        EpisodeLoader(graph, sampler=sampler, new_domain_share=0.5)
    graph["item"].domain = torch.arange(int(graph["item"].num_nodes)) % 2
    graph["item"].domain_names = IdMap(["a", "b"])
    with pytest.raises(ConfigError, match=r"new_domain_share=1\.5"):
        EpisodeLoader(graph, sampler=sampler, new_domain_share=1.5)
    loader = EpisodeLoader(graph, sampler=sampler, k_max=4, new_domain_share=1.0)
    generator = torch.Generator().manual_seed(0)
    episodes, _ = loader.load(loader.users, 4, in_order=True, generator=generator)
    domain = graph["item"].domain[episodes.support.item_index]
    # Users have some ten items of each domain, so that four are of the known one alone.
    assert bool((domain == domain[:, :1]).all(1).float().mean() > 0.9)
