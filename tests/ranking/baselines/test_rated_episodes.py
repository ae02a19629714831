"""Episodes of ratings, and the meta-learners that learn from them."""

import pytest
import torch

from graphmeta.data import Support, from_frame, planted_interactions, split_rated_users
from graphmeta.errors import ConfigError, DataError
from graphmeta.ranking.baselines.episodic_scorer import EpisodicScorer
from graphmeta.ranking.baselines.item_mean import ItemMean
from graphmeta.ranking.baselines.mamo import MAMO
from graphmeta.ranking.baselines.melu import MeLU
from graphmeta.ranking.baselines.rated_episodes import RatedEpisodes
from graphmeta.ranking.baselines.tanp import TaNP
from graphmeta.ranking.rerating import rerate

KINDS = (MeLU, TaNP, MAMO)


@pytest.mark.parametrize(("k_max", "query_size"), [(4, 3), (90, 10), (5, 50)])
def test_an_episode_is_users_own_ratings(k_max: int, query_size: int) -> None:
    graph = from_frame(planted_interactions(per_user=20), rating="rating")
    store = graph["user", "rates", "item"]
    rating = {
        (u, i): (r - 1) / 4
        for u, i, r in zip(*store.edge_index.tolist(), store.rating.tolist(), strict=True)
    }
    episodes = RatedEpisodes(graph, k_max=k_max, query_size=query_size)
    users = torch.tensor([7, 3, 11])
    drawn = episodes.draw(users, torch.Generator().manual_seed(0))
    for row, user in enumerate(users.tolist()):
        own = []
        for part in (drawn.support, drawn.query):
            mask = part.mask[row]
            items = part.item_index[row][mask].tolist()
            for item, label in zip(items, part.label[row][mask].tolist(), strict=True):
                assert label == pytest.approx(rating[user, item])
            own.append(items)
        support, query = own
        assert len(query) == min(query_size, 19)
        assert len(support) == min(k_max, 20 - len(query))
        assert len({*support, *query}) == len(support) + len(query)
    other = episodes.draw(users, torch.Generator().manual_seed(1))
    assert not torch.equal(drawn.query.item_index, other.query.item_index)


def test_new_users_ratings_are_labelled_alike() -> None:
    graph = from_frame(planted_interactions(), rating="rating")
    episodes = RatedEpisodes(graph, k_max=4, query_size=3)
    shown = Support(torch.tensor([[3, 5, -1]]), torch.tensor([[5.0, 2, 0]]))
    labelled = episodes.label(shown)
    assert labelled.label[0, :2].tolist() == [1.0, 0.25]
    assert labelled.mask.tolist() == [[True, True, False]]


@pytest.mark.parametrize("kind", KINDS)
def test_papers_models_learn_taste_from_ratings(kind: type[EpisodicScorer]) -> None:
    graph = from_frame(planted_interactions(400), rating="rating")
    split = split_rated_users(graph)
    options = {"labels": "ratings", "k_max": 10, "query_size": 10, "item_start": "spectral"}
    model = kind(**options, num_epochs=20).fit(split.train)
    assert model.losses[-1] < model.losses[0]
    found, means = (
        rerate(scorer, split.test["test"])["better-half-ndcg@5"].mean()
        for scorer in (model, ItemMean().fit(split.train))
    )
    assert found > means + 0.05


def test_bad_input_is_refused() -> None:
    table = planted_interactions()
    with pytest.raises(ConfigError, match="labels='stars'"):
        MeLU(labels="stars")
    with pytest.raises(DataError, match="no ratings"):
        RatedEpisodes(from_frame(table), k_max=2, query_size=2)
    with pytest.raises(DataError, match=r"all ratings are 3\.0"):
        RatedEpisodes(from_frame(table.assign(rating=3), rating="rating"), k_max=2, query_size=2)
    alone = from_frame(table.drop_duplicates("user"), rating="rating")
    with pytest.raises(DataError, match="no training user has two ratings"):
        RatedEpisodes(alone, k_max=2, query_size=2)
    model = MeLU(labels="ratings", num_epochs=1, channels=4, hidden_channels=4)
    model.fit(from_frame(table, rating="rating"))
    with pytest.raises(DataError, match="needs the ratings"):
        model.score(Support(torch.tensor([[0]])))
