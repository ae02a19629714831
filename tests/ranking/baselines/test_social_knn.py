"""Nearest neighbours among whom friends come first."""

import pytest
import torch
from torch_geometric.data import HeteroData

from graphmeta.data import from_frame, planted_interactions
from graphmeta.data.cold_users import Support
from graphmeta.errors import ConfigError
from graphmeta.ranking.baselines import Popularity, SocialKNN, UserKNN


@pytest.fixture(scope="module")
def graph() -> HeteroData:
    return from_frame(planted_interactions(n_users=30))


LINKS = torch.tensor([[2, 5], [4, -1]])
ITEMS = torch.tensor([[1, 2], [3, -1]])


def test_without_boost_and_prior_it_is_user_knn(graph: HeteroData) -> None:
    support = Support(ITEMS, links=LINKS)
    wanted = UserKNN().fit(graph).score(support)
    found = SocialKNN(boost=0, prior=0).fit(graph).score(support)
    assert torch.equal(found.argsort(dim=1, stable=True), wanted.argsort(dim=1, stable=True))


def test_a_link_is_worth_items_in_common(graph: HeteroData) -> None:
    rows = torch.zeros(30, int(graph["item"].num_nodes))
    rows[tuple(graph["user", "rates", "item"].edge_index)] = 1.0
    overlap = rows[:, [1, 2]].sum(1)
    overlap[[2, 5]] += 3
    weight = (overlap / (2**0.5 * rows.sum(1) ** 0.5 + 10)) ** 2
    votes = weight @ rows
    wanted = votes / votes.sum() + 0.5 * rows.sum(0) / rows.sum()
    scorer = SocialKNN(boost=3, prior=0.5, power=2.0).fit(graph)
    found = scorer.score(Support(ITEMS[:1], links=LINKS[:1]))[0]
    torch.testing.assert_close(found[wanted > 0], wanted[wanted > 0])


def test_who_has_shown_nothing_is_ranked_by_friends(graph: HeteroData) -> None:
    nothing = torch.zeros(2, 0, dtype=torch.long)
    scores = SocialKNN(prior=0).fit(graph).score(Support(nothing, links=LINKS))
    user, item = graph["user", "rates", "item"].edge_index
    own = item[user == 4]
    assert set(scores[1].topk(len(own)).indices.tolist()) == set(own.tolist())
    popular = Popularity().fit(graph).score(Support(nothing))
    assert torch.equal(SocialKNN().fit(graph).score(Support(nothing)), popular)


def test_bad_numbers_are_refused() -> None:
    with pytest.raises(ConfigError, match="boost=-1 must be at least 0"):
        SocialKNN(boost=-1)
    with pytest.raises(ConfigError, match="neighbors=0 must be at least 1"):
        SocialKNN(neighbors=0)


def test_it_is_tuned_as_user_knn_and_more() -> None:
    own = set(SocialKNN.search_space().axes)
    assert own == {"boost", "prior", *UserKNN.search_space().axes}
