"""The head at rest scores new users as the head itself does."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data.cold_users import Support
from graphmeta.encoders import CatalogueHead, pruned_product
from graphmeta.tasks.episode import EpisodeBatch
from graphmeta.tasks.episode_sampler import EpisodeSampler

CHANNELS = 4
SUPPORT = Support(torch.tensor([[3, 4, 9], [7, -1, -1], [-1, -1, -1], [50, 99, 0]]))
Z = torch.randn(4, CHANNELS, generator=torch.Generator().manual_seed(1))


def head_of(graph: HeteroData) -> CatalogueHead:
    head = CatalogueHead(graph, channels=CHANNELS)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():  # All numbers away from their first values.
        for parameter in head.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return head


def episodes_of(graph: HeteroData, num_voters: int | None) -> EpisodeBatch:
    sampler = EpisodeSampler(graph, num_voters=num_voters)
    return sampler.sample(SUPPORT, generator=torch.Generator().manual_seed(0))


def at_rest(head: CatalogueHead, episodes: EpisodeBatch) -> Tensor:
    with torch.no_grad():
        return head(Z, episodes)


@pytest.mark.parametrize("num_voters", [None, 1, 5, 10_000])
def test_scores_are_those_of_the_head(planted_graph: HeteroData, num_voters: int | None) -> None:
    head, episodes = head_of(planted_graph), episodes_of(planted_graph, num_voters)
    wanted = head(Z, episodes)
    assert wanted.requires_grad
    torch.testing.assert_close(at_rest(head, episodes), wanted.detach(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("num_voters", [None, 5])
def test_features_vote_at_rest_as_in_training(
    planted_graph: HeteroData, num_voters: int | None
) -> None:
    graph = planted_graph.clone()
    graph["item"].x = torch.eye(4)[torch.arange(100) % 4]
    head, episodes = head_of(graph), episodes_of(graph, num_voters)
    wanted = head(Z, episodes).detach()
    torch.testing.assert_close(at_rest(head, episodes), wanted, atol=1e-5, rtol=1e-5)


def test_all_voters_sampled_score_as_all_voters(planted_graph: HeteroData) -> None:
    head = head_of(planted_graph)
    found, wanted = (at_rest(head, episodes_of(planted_graph, n)) for n in (10_000, None))
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
    few = at_rest(head, episodes_of(planted_graph, 1))
    assert not torch.allclose(few[0], wanted[0], atol=1e-3)


def test_a_weight_that_changes_is_noticed(planted_graph: HeteroData) -> None:
    head, episodes = head_of(planted_graph), episodes_of(planted_graph, None)
    before = at_rest(head, episodes)
    state = {name: value.clone() for name, value in head.state_dict().items()}
    for parameter in (head.bias, head.table.output, head.vote.log_smoothing):
        with torch.no_grad():
            parameter.mul_(1.5)
        torch.testing.assert_close(
            at_rest(head, episodes), head(Z, episodes).detach(), atol=1e-5, rtol=1e-5
        )
    head.load_state_dict(state)
    torch.testing.assert_close(at_rest(head, episodes), before)


def test_features_still_count(planted_graph: HeteroData) -> None:
    planted_graph["user"].x = torch.randn(200, 1, generator=torch.Generator().manual_seed(3))
    head = head_of(planted_graph)
    support = Support(SUPPORT.item_index, user_x=torch.ones(4, 1))
    episodes = EpisodeSampler(planted_graph).sample(
        support, generator=torch.Generator().manual_seed(0)
    )
    torch.testing.assert_close(
        at_rest(head, episodes), head(Z, episodes).detach(), atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize("num_voters", [1, 5, 10_000])
def test_the_best_are_found_without_scoring_everything(
    planted_graph: HeteroData, num_voters: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    head, episodes = head_of(planted_graph), episodes_of(planted_graph, num_voters)
    assert not head.prunes(episodes)  # A small catalogue is scored as a whole.
    head.pruned_above = 50
    monkeypatch.setattr(pruned_product, "FIRST_ITEMS", 8)
    assert head.prunes(episodes)
    excluded = SUPPORT.item_index.where(SUPPORT.mask, -1)
    scores = at_rest(head, episodes)
    user, column = SUPPORT.mask.nonzero().unbind(1)
    scores[user, excluded[user, column]] = -torch.inf
    items, found = head.at_rest().best(Z, episodes, k=10, excluded=excluded)
    wanted = scores.topk(10)
    torch.testing.assert_close(found, wanted.values, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(scores.gather(1, items), found, rtol=1e-4, atol=1e-4)
    assert not head.prunes(replace(episodes, own_user=torch.tensor([-1, 3, -1, -1])))
    assert not head.prunes(episodes_of(planted_graph, None))
