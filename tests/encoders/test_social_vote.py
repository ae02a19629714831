"""Linked users vote for their items."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data.cold_users import Support
from graphmeta.data.links import TRUSTS
from graphmeta.encoders.catalogue_head import CatalogueHead
from graphmeta.encoders.neighbor_vote import NeighborVote
from graphmeta.encoders.social_vote import SocialVote
from graphmeta.tasks.episode import RATES, REV_RATES, EpisodeBatch
from graphmeta.tasks.episode_sampler import EpisodeSampler

CHANNELS = 4


@pytest.fixture
def graph(planted_graph: HeteroData) -> HeteroData:
    users = planted_graph[RATES].edge_index[0]
    kept = (users != 4) | (torch.arange(len(users)) % 2 == 0)  # Not all have equally many items.
    for edge_type in (RATES, REV_RATES):
        for name, value in planted_graph[edge_type].items():
            planted_graph[edge_type][name] = value[..., kept]
    planted_graph[TRUSTS].edge_index = torch.tensor([[0, 0, 1], [4, 8, 5]])
    return planted_graph


def episodes_of(
    graph: HeteroData, items: list[list[int]], links: list[list[int]] | None
) -> EpisodeBatch:
    linked = None if links is None else torch.tensor(links)
    item = torch.tensor(items, dtype=torch.long).view(len(items), -1)
    return EpisodeSampler(graph).sample(Support(item, links=linked), seed=0)


def users_of(n: int) -> Tensor:
    return torch.randn(n, CHANNELS, generator=torch.Generator().manual_seed(1))


def rows_of(graph: HeteroData) -> Tensor:
    rows = torch.zeros(200, 100)
    rows[tuple(graph["user", "rates", "item"].edge_index)] = 1.0
    return rows


def lift_of(
    graph: HeteroData, items: list[list[int]], links: list[list[int]], z: Tensor
) -> tuple[NeighborVote, Tensor, Tensor]:
    vote, embedding = NeighborVote(graph), torch.randn(100, CHANNELS)
    social, episodes = SocialVote(vote), episodes_of(graph, items, links)
    popularity = vote.popularity(episodes.own_user)
    linked = episodes.support.links
    assert linked is not None
    return vote, embedding, social(z, episodes, linked, vote, embedding, popularity)


def test_it_is_what_the_formula_says(graph: HeteroData) -> None:
    z, rows = users_of(1), rows_of(graph)
    vote, embedding, found = lift_of(graph, [[3, 7]], [[4, -1, 9]], z)
    popularity = (rows.sum(0) + 1) / (rows.sum() + 100)
    weight = vote.support_weight(episodes_of(graph, [[3, 7]], None))[0]
    s, votes = math.exp(3.0), torch.zeros(100)
    for v in (4, 9):
        degree = (rows.sum(1).mean() + s) / (rows[v].sum() + s)
        taste = torch.cosine_similarity(z[0], embedding[rows[v] > 0].mean(0), dim=0)
        overlap = rows[v, [3, 7]] @ weight
        votes += rows[v] * degree.sqrt() * taste.exp() * (1 + overlap)
    m = math.exp(3.0)
    wanted = 0.3 * ((votes / popularity + m) / (votes.sum() + m)).log()
    torch.testing.assert_close(found[0], wanted)


def test_who_has_shown_nothing_is_told_by_links_alone(graph: HeteroData) -> None:
    links, (one, other) = [[4, 9]], users_of(2)
    *_, found = lift_of(graph, [[]], links, one[None])
    *_, again = lift_of(graph, [[]], links, other[None])
    assert torch.equal(found, again)
    rows = rows_of(graph)
    assert bool((found[0, rows[4] > 0] > found[0, rows[[4, 9]].sum(0) == 0].max()).all())


def test_padding_and_order_of_links_make_no_difference(graph: HeteroData) -> None:
    torch.manual_seed(0)
    *_, found = lift_of(graph, [[3]], [[4, 9]], users_of(1))
    torch.manual_seed(0)
    *_, again = lift_of(graph, [[3]], [[-1, 9, -1, 4]], users_of(1))
    torch.testing.assert_close(found, again)


@pytest.mark.parametrize("items", [[[3, 7], [5, -1]], [[], []]])
def test_without_links_the_scores_are_bit_for_bit_as_without_the_part(
    graph: HeteroData, items: list[list[int]]
) -> None:
    head, z = CatalogueHead(graph, channels=CHANNELS), users_of(2)
    del graph[TRUSTS]
    plain = CatalogueHead(graph, channels=CHANNELS)
    none, unlinked = episodes_of(graph, items, None), episodes_of(graph, items, [[-1], [-1]])
    for context in (torch.enable_grad(), torch.no_grad()):
        with context:
            wanted = plain(z, none)
            assert plain.social is None
            assert torch.equal(head(z, none), wanted)
            assert torch.equal(head(z, unlinked), wanted)
            mixed = head(z, episodes_of(graph, items, [[4, 9], [-1, -1]]))
            assert torch.equal(mixed[1], wanted[1])
            assert not torch.equal(mixed[0], wanted[0])


def test_the_head_scores_alike_however_it_is_asked(graph: HeteroData) -> None:
    head, z = CatalogueHead(graph, channels=CHANNELS), users_of(2)
    for items in ([[3, 7], [5, -1]], [[], []]):
        episodes = episodes_of(graph, items, [[4, 9], [8, -1]])
        scores = head(z, episodes)
        parts = head.parts(z, episodes)
        torch.testing.assert_close(torch.stack([*parts.values()]).sum(0), scores)
        assert bool(parts["social"].any())
        some = torch.tensor([2, 3, 50])
        torch.testing.assert_close(head(z, episodes, some), scores[:, some])
        with torch.no_grad():
            torch.testing.assert_close(head(z, episodes), scores, rtol=1e-4, atol=1e-4)


def test_all_is_scored_of_users_with_links(graph: HeteroData) -> None:
    head = CatalogueHead(graph, channels=CHANNELS)
    head.pruned_above = 0
    episodes = replace(episodes_of(graph, [[3]], [[4]]), voters=torch.tensor([[1, 2]]))
    assert not head.prunes(episodes)
    unlinked = replace(episodes, support=replace(episodes.support, links=None))
    assert head.prunes(unlinked)


def test_a_training_user_s_own_items_do_not_count(graph: HeteroData) -> None:
    head, z = CatalogueHead(graph, channels=CHANNELS), users_of(1)
    own = EpisodeSampler(graph).sample(
        Support(torch.tensor([[3]]), links=torch.tensor([[4]])), seed=0, own_user=torch.tensor([0])
    )
    rest = rows_of(graph)
    rest[0] = 0
    links = own.support.links
    assert links is not None
    assert head.social is not None
    found = head.social(
        z, own, links, head.vote, head.table.embedding, head.vote.popularity(own.own_user)
    )
    popularity = (rest.sum(0) + 1) / (rest.sum() + 100)
    only_prior = found[0, rest[4] == 0]
    assert torch.allclose(only_prior, only_prior[0])  # No vote: the same lift for all.
    torch.testing.assert_close(head.vote.popularity(own.own_user)[0], popularity)


def test_left_out_it_says_nothing_and_learns_nothing(graph: HeteroData) -> None:
    head, z = CatalogueHead(graph, channels=CHANNELS, without=("social",)), users_of(2)
    for items in ([[3], [5]], [[], []]):
        episodes = episodes_of(graph, items, [[4], [8]])
        assert not head.parts(z, episodes)["social"].any()
        scores = head(z, episodes)
        if scores.requires_grad:
            scores[:, 7].sum().backward()
    torch.optim.SGD(head.parameters(), lr=1.0).step()
    assert head.social is not None
    assert not head.social.curve.values["weight"].any()
    assert not head.social.alone["weight"].any()


def test_it_learns_at_every_size_and_its_weight_is_scaled(graph: HeteroData) -> None:
    head, z = CatalogueHead(graph, channels=CHANNELS), users_of(1)
    assert head.social is not None
    for items, learns in (([[]], head.social.alone), ([[3]], head.social.curve.values)):
        head.zero_grad()
        head(z, episodes_of(graph, items, [[4, 9]]))[0, 7].backward()
        assert all(bool(learns[name].grad.any()) for name in ("weight", "prior", "degree"))
    many = next(g for g in head.parameter_groups(1.0) if g["lr"] == 10.0)["params"]
    assert all(any(own is p for p in many) for own in head.social.parameters())
    head.social.scale({0: 2.0, 1: 0.5, 3: 0.0})
    assert head.social.alone["weight"].item() == 2.0
    torch.testing.assert_close(
        head.social.curve.values["weight"].data, torch.tensor([0.15, 0.0, 0.0, 0.0])
    )
