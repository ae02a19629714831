"""The popularity among friends."""

import pytest
import torch
from torch_geometric.data import HeteroData

from graphmeta.data import from_frame, planted_interactions
from graphmeta.data.cold_users import Support
from graphmeta.errors import ConfigError
from graphmeta.ranking.baselines import FriendPopularity, Popularity


@pytest.fixture(scope="module")
def graph() -> HeteroData:
    return from_frame(planted_interactions(n_users=30))


def test_it_counts_the_friends_who_have_an_item(graph: HeteroData) -> None:
    rows = torch.zeros(30, int(graph["item"].num_nodes))
    rows[tuple(graph["user", "rates", "item"].edge_index)] = 1.0
    links = torch.tensor([[2, 5], [4, -1]])
    support = Support(torch.zeros(2, 0, dtype=torch.long), links=links)
    found = FriendPopularity(norm_exponent=0.5, prior=10.0).fit(graph).score(support)
    each = rows / rows.sum(1, keepdim=True).sqrt()
    prior = 10 * rows.sum(0) / rows.sum()
    torch.testing.assert_close(found, torch.stack([each[2] + each[5], each[4]]) + prior)


def test_without_friends_it_is_the_popularity(graph: HeteroData) -> None:
    wanted = Popularity().fit(graph).score(Support(torch.tensor([[1], [2]])))
    for links in (None, torch.tensor([[-1], [-1]])):
        support = Support(torch.tensor([[1], [2]]), links=links)
        assert torch.equal(FriendPopularity().fit(graph).score(support), wanted)


def test_a_negative_prior_is_refused() -> None:
    with pytest.raises(ConfigError, match="prior=-1 must be at least 0"):
        FriendPopularity(prior=-1)


def test_what_may_be_tried() -> None:
    assert set(FriendPopularity.search_space().axes) == {"prior", "norm_exponent"}
