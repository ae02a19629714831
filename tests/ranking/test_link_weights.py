"""Validation users say how much links count."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data import from_frame, planted_interactions, split_cold_users
from graphmeta.data.cold_users import ColdUsers, Support
from graphmeta.data.links import TRUSTS
from graphmeta.errors import ConfigError
from graphmeta.ranking import ColdStartRecommender
from graphmeta.ranking.link_weights import link_factors, with_link_factors


class Planned:
    """Scores by the query itself, through the links, and by its reverse without them."""

    def __init__(self, users: ColdUsers, weight: float) -> None:
        self.users, self.weight = users, weight

    def score(self, support: Support) -> Tensor:
        wanted = torch.zeros(len(self.users), len(self.users.item_ids))
        for user in range(len(self.users)):
            wanted[user, self.users.query(user)] = 1.0
        return -wanted if support.links is None else (self.weight - 1) * wanted


@pytest.fixture(scope="module")
def graph() -> HeteroData:
    graph = from_frame(planted_interactions())
    user = torch.arange(200)
    graph[TRUSTS].edge_index = torch.stack([user, (user + 4) % 200])
    return graph


def test_the_factor_is_what_helps(graph: HeteroData) -> None:
    users = split_cold_users(graph, seed=0).validation
    # Links of weight .8 must count 1.4 times as much, or more, to outweigh what is wrong.
    found = link_factors(Planned(users, 0.8), users, [0, 3], seed=0)  # type: ignore[arg-type]
    assert found == {0: 1.4, 3: 1.4}
    enough = link_factors(Planned(users, 5.0), users, [0], seed=0)  # type: ignore[arg-type]
    assert enough == {0: 1.0}


def test_the_scorer_that_is_weighed_stays_as_it_was(graph: HeteroData) -> None:
    split = split_cold_users(graph, seed=0)
    scorer = ColdStartRecommender(channels=4, epochs=0).fit(split.train).fitted
    support = split.test.support(3)
    before = scorer.score(support)
    alone = scorer.score(replace(support, links=None))
    other = with_link_factors(scorer, {0: 1.0, 3: 2.0})
    torch.testing.assert_close(other.score(support) - alone, 2 * (before - alone))
    assert torch.equal(scorer.score(support), before)


def test_there_must_be_links(planted_graph: HeteroData) -> None:
    scorer = ColdStartRecommender(channels=4, epochs=0).fit(planted_graph).fitted
    with pytest.raises(ConfigError, match="trained without links"):
        with_link_factors(scorer, {0: 1.0})
