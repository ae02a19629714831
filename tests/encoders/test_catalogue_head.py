"""The mix of vote, product and prior."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

import graphmeta.tasks.sampled_items as sampled_items
from graphmeta.data.cold_users import Support
from graphmeta.encoders import CatalogueHead
from graphmeta.encoders.catalogue_head import PARTS
from graphmeta.errors import ConfigError
from graphmeta.tasks.episode import EpisodeBatch
from graphmeta.tasks.episode_sampler import EpisodeSampler

CHANNELS = 4


def episodes_of(graph: HeteroData, items: list[list[int]]) -> EpisodeBatch:
    sampler = EpisodeSampler(graph)
    width = torch.zeros(len(items), 1) if "x" in graph["user"] else None
    support = Support(torch.tensor(items), user_x=width)
    return sampler.sample(support, generator=torch.Generator().manual_seed(0))


def embeddings(n: int) -> Tensor:
    return torch.randn(n, CHANNELS, generator=torch.Generator().manual_seed(1))


def test_scores_are_the_stated_mix(planted_graph: HeteroData) -> None:
    head = CatalogueHead(planted_graph, channels=CHANNELS)
    with torch.no_grad():
        head.bias.copy_(torch.randn(100, generator=torch.Generator().manual_seed(2)))
        head.curve.values["prior"].fill_(0.3)
    episodes, z = episodes_of(planted_graph, [[3, 4]]), embeddings(1)
    popularity = head.vote.popularity(episodes.own_user)
    vote, prior = head.vote(z, episodes, head.table.embedding, popularity), popularity.log()
    product = z @ head.table.output.T / CHANNELS**0.5
    wanted = 1.0 * vote + 0.1 * product + 0.3 * prior + head.bias
    torch.testing.assert_close(head(z, episodes), wanted)
    torch.testing.assert_close(head.inner_scores(z, episodes), 0.1 * product + prior + head.bias)


def test_a_large_catalogue_is_sampled_in_the_inner_loop(
    planted_graph: HeteroData, monkeypatch: pytest.MonkeyPatch
) -> None:
    episodes = episodes_of(planted_graph, [[3, 4], [5, -1], [6, 7]])
    episodes = replace(episodes, own_user=torch.tensor([-1, 2, 9]))
    item, z = torch.tensor([[1, 2], [30, 99], [8, 3]]), embeddings(3)

    def shares() -> tuple[Tensor, Tensor]:
        head = CatalogueHead(planted_graph, channels=CHANNELS)
        with torch.no_grad():
            head.bias.copy_(0.3 * torch.randn(100, generator=torch.Generator().manual_seed(2)))
        own = z.clone().requires_grad_()
        share = head.inner_log_share(own, episodes, item)
        (gradient,) = torch.autograd.grad(share.sum(), own)
        if head.drawn is None:
            exact = head.inner_scores(z, episodes).log_softmax(1).gather(1, item)
            torch.testing.assert_close(share, exact)
        return share.detach(), gradient

    exact, gradient = shares()
    monkeypatch.setattr(sampled_items, "SAMPLED_ABOVE", 99)
    monkeypatch.setattr(sampled_items, "N_DRAWS", 200_000)
    many, its_gradient = shares()
    torch.testing.assert_close(many, exact, atol=5e-3, rtol=0)
    torch.testing.assert_close(its_gradient, gradient, atol=5e-3, rtol=0)
    monkeypatch.setattr(sampled_items, "N_DRAWS", 20)
    few, _ = shares()
    assert bool((few < 0).all())  # The item itself counts, so that its share is below 1.
    torch.testing.assert_close(few, exact, atol=1.0, rtol=0)


@pytest.mark.parametrize("part", [p for p in PARTS if p not in ("social", "linear")])  # See theirs.
def test_a_part_left_out_is_out_of_the_mix_and_stays_out(
    planted_graph: HeteroData, part: str
) -> None:
    planted_graph["item"].x = (torch.rand(100, 5) > 0.5).float()
    head = CatalogueHead(planted_graph, channels=CHANNELS, without=(part,))
    episodes, z = episodes_of(planted_graph, [[3, 4], [5, -1]]), embeddings(2)
    popularity = head.vote.popularity(episodes.own_user)
    votes = {
        name: vote(z, episodes, head.table.embedding, popularity)
        for name, vote in (("vote", head.vote), ("content", head.content))
        if vote is not None and name != part
    }
    wanted = sum(head.curve(episodes.support.size)[name] * vote for name, vote in votes.items())
    if part != "product":
        wanted = wanted + 0.1 * z @ head.table.output.T / CHANNELS**0.5
    torch.testing.assert_close(head(z, episodes), wanted)  # The prior starts from nothing.
    optimizer = torch.optim.SGD(head.parameters(), lr=1.0)
    head(z, episodes)[:, 7].sum().backward()
    optimizer.step()
    assert not head.curve.values[part].any()
    assert bool(head.bias.any()) == (part != "prior")
    with torch.no_grad():
        resting = head(z, episodes)
    torch.testing.assert_close(resting, head(z, episodes).detach(), rtol=1e-4, atol=1e-4)


def test_an_unknown_part_is_refused(planted_graph: HeteroData) -> None:
    with pytest.raises(ConfigError, match="without='votes' is no part of the score; known: "):
        CatalogueHead(planted_graph, channels=CHANNELS, without=("votes",))


def test_without_support_and_features_popularity_alone_decides(planted_graph: HeteroData) -> None:
    head = CatalogueHead(planted_graph, channels=CHANNELS)
    with torch.no_grad():
        head.bias.normal_(generator=torch.Generator().manual_seed(2))
    scores = head(embeddings(2), episodes_of(planted_graph, [[-1, -1], [3, -1]]))
    count = planted_graph["user", "rates", "item"].edge_index[1].bincount(minlength=100) + 1.0
    torch.testing.assert_close(scores[0], (count / count.sum()).log())
    assert scores[0].argsort().tolist() != scores[1].argsort().tolist()


def test_features_are_added_with_and_without_support(planted_graph: HeteroData) -> None:
    bare = CatalogueHead(planted_graph, channels=CHANNELS)
    generator = torch.Generator().manual_seed(3)
    planted_graph["user"].x = torch.randn(200, 1, generator=generator)
    head = CatalogueHead(planted_graph, channels=CHANNELS)
    episodes, z = episodes_of(planted_graph, [[-1], [2]]), embeddings(2)
    assert head.features is not None
    added = head.features(episodes)
    assert bool((added != 0).any(1).all())
    torch.testing.assert_close(head(z, episodes), bare(z, episodes) + added)


def test_parameter_groups_hold_every_parameter_once(planted_graph: HeteroData) -> None:
    planted_graph["user"].x = torch.ones(200, 2)
    head = CatalogueHead(planted_graph, channels=CHANNELS)
    groups = head.parameter_groups(0.1)
    held = [p for group in groups for p in group["params"]]
    assert len(held) == len({id(p) for p in held}) == len(list(head.parameters()))
    assert [group["lr"] for group in groups] == [0.03, 0.1, 1.0]


def test_bad_input(planted_graph: HeteroData) -> None:
    with pytest.raises(ConfigError, match="channels=0"):
        CatalogueHead(planted_graph, channels=0)


@pytest.mark.parametrize("num_voters", [None, 3])
def test_some_items_score_as_they_do_in_the_catalogue(
    planted_graph: HeteroData, num_voters: int | None
) -> None:
    generator = torch.Generator().manual_seed(0)
    for node_type in ("user", "item"):
        shape = planted_graph[node_type].num_nodes, 5
        planted_graph[node_type].x = (torch.rand(shape, generator=generator) < 0.3).float()
    head = CatalogueHead(planted_graph, channels=CHANNELS)
    support = Support(torch.tensor([[3, 4], [5, -1], [-1, -1]]), user_x=planted_graph["user"].x[:3])
    sampler = EpisodeSampler(planted_graph, num_voters=num_voters)
    items, z = torch.tensor([0, 4, 5, 31, 99]), embeddings(3)
    for own_user in (torch.tensor([7, -1, 2]), None):
        episodes = sampler.sample(support, generator=generator, own_user=own_user)
        own = z.clone().requires_grad_()
        found, wanted = head(own, episodes, items), head(own, episodes)[:, items]
        torch.testing.assert_close(found, wanted)
        gradients = [torch.autograd.grad(y.sin().sum(), own)[0] for y in (found, wanted)]
        torch.testing.assert_close(*gradients)
        with torch.no_grad():  # New users alone are then scored by the head at rest.
            torch.testing.assert_close(head(z, episodes, items), head(z, episodes)[:, items])
