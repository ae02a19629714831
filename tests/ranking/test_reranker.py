"""Lists that are ordered anew, in every way that the recommender ranks."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data import ColdSplit, Support, from_frame, planted_interactions, split_cold_users
from graphmeta.encoders import RestingHead, pruned_product
from graphmeta.errors import ConfigError
from graphmeta.ranking import ColdStartRecommender, evaluate
from graphmeta.ranking.reranker import Reranker, reranked

N_ITEMS = 100


class Backwards:
    """Shows the last of the candidates first."""

    def __init__(self, n_candidates: int = 15, n_items: int = N_ITEMS) -> None:
        self.n_candidates, self.n_items = n_candidates, n_items
        self.shown: list[Support] = []

    def order(self, items: Tensor, scores: Tensor, support: Support, *, k: int) -> Tensor:
        self.shown.append(support)
        n = (scores > -torch.inf).sum(1, keepdim=True)
        place = torch.arange(items.size(1)).expand(len(items), -1)
        return torch.where(place < n, n - 1 - place, place)[:, :k]


@pytest.fixture(scope="module")
def graph() -> HeteroData:
    return from_frame(planted_interactions(), rating="rating", time="time")


@pytest.fixture(scope="module")
def split(graph: HeteroData) -> ColdSplit:
    return split_cold_users(graph, seed=0)


@pytest.fixture(scope="module")
def model(split: ColdSplit) -> ColdStartRecommender:
    return ColdStartRecommender(channels=8, epochs=1, min_steps=1, num_voters=3).fit(split.train)


@pytest.fixture(scope="module")
def ids(model: ColdStartRecommender) -> list[str]:
    return [*model.item_ids.ids]


def test_places_beyond_the_candidates_keep_their_order() -> None:
    items = torch.arange(6).expand(2, -1)
    scores = -torch.arange(6.0).expand(2, -1)
    shown = Support(torch.empty(2, 0, dtype=torch.long))
    assert isinstance(Backwards(), Reranker)
    got = reranked(Backwards(n_candidates=4), items, scores, shown, k=5)
    assert got.tolist() == [[3, 2, 1, 0, 4]] * 2
    assert reranked(Backwards(n_candidates=9), items, scores, shown, k=2).tolist() == [[5, 4]] * 2


def test_recommend_states_and_tables(model: ColdStartRecommender, ids: list[str]) -> None:
    plain, other = model.recommend(ids[:3], 15), model.with_reranker(Backwards())
    assert other.recommend(ids[:3], 15).items == plain.items[::-1]
    assert other.recommend(ids[:3], 15).scores == plain.scores[::-1]
    assert other.recommend(ids[:3], 4).items == plain.items[::-1][:4]
    assert other.recommend(model.adapt(ids[:3]), 4).items == plain.items[::-1][:4]
    # Beyond the candidates, the order of the scores.
    longer = model.recommend(ids[:3], 20).items
    assert other.recommend(ids[:3], 20).items == (*longer[:15][::-1], *longer[15:])
    table = pd.DataFrame({"user": "ann", "item": ids[:3]})
    assert tuple(other.recommend_table(table, 4)["item"]) == plain.items[::-1][:4]
    assert other.reranker is not None
    assert other.reranker.shown[0].item_index.tolist() == [[0, 1, 2]]  # type: ignore[attr-defined]
    off = other.with_reranker(None)
    assert off.reranker is None
    assert off.recommend(ids[:3], 15) == plain


def test_few_items_left(model: ColdStartRecommender, ids: list[str]) -> None:
    other = model.with_reranker(Backwards())
    plain = model.recommend(ids[:3], 5, include=ids[:8])
    assert other.recommend(ids[:3], 5, include=ids[:8]).items == plain.items[::-1]
    with pytest.raises(ConfigError, match=r"k=6 is outside 1\.\.5"):
        other.recommend(ids[:3], 6, include=ids[:8])


@pytest.mark.parametrize("n_left", [8, 90])
def test_a_catalogue_that_is_not_scored_whole(
    model: ColdStartRecommender, ids: list[str], monkeypatch: pytest.MonkeyPatch, n_left: int
) -> None:
    other = model.with_reranker(Backwards())
    wanted = other.recommend(ids[:3], 5, include=ids[:n_left]).items
    monkeypatch.setattr(model.fitted.head, "pruned_above", 50)
    monkeypatch.setattr(pruned_product, "FIRST_ITEMS", 8)
    asked: list[int] = []
    best = RestingHead.best

    def counting(*arguments: Any, **options: Any) -> Any:
        asked.append(options["k"])
        return best(*arguments, **options)

    monkeypatch.setattr(RestingHead, "best", counting)
    assert other.recommend(ids[:3], 5, include=ids[:n_left]).items == wanted
    assert asked == [15]


def test_evaluate_ranks_as_recommend_does(
    model: ColdStartRecommender, split: ColdSplit, ids: list[str]
) -> None:
    other = model.with_reranker(Backwards(n_candidates=25))
    found = evaluate(other, split.test, k=(3,)).rankings
    plain = evaluate(model, split.test, k=(3,))
    first = split.test.first.item_index[0]
    hidden = [ids[i] for i in first[3:]]
    scores = model.score(split.test.support(3)[:1])[0]
    scores[first] = -torch.inf
    wanted = [ids[i] for i in scores.topk(25).indices.flip(0)[:20]]
    assert found["item"][:20].tolist() == wanted
    shown = [ids[i] for i in first[:3]]
    times = split.test.first.time
    ratings = split.test.first.rating
    assert times is not None
    assert ratings is not None
    ranked = other.recommend(
        shown, 20, times=times[0, :3].tolist(), ratings=ratings[0, :3].tolist(), exclude=hidden
    )
    assert list(ranked.items) == wanted
    again = evaluate(other.with_reranker(None), split.test, k=(3,))
    pd.testing.assert_frame_equal(again.rankings, plain.rankings)


def test_hits_move_with_the_items(model: ColdStartRecommender, split: ColdSplit) -> None:
    # All candidates are shown, in another order: recall stays, the reciprocal rank does not.
    plain = evaluate(model, split.test, k=(3,)).per_user
    found = evaluate(model.with_reranker(Backwards(n_candidates=20)), split.test, k=(3,)).per_user
    assert found["recall@20"].tolist() == plain["recall@20"].tolist()
    assert found["mrr@10"].tolist() != plain["mrr@10"].tolist()


def test_what_is_no_reranker_of_the_model(
    model: ColdStartRecommender, split: ColdSplit, ids: list[str]
) -> None:
    with pytest.raises(ConfigError, match="a str is no Reranker"):
        model.with_reranker("xquad")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="knows 7 items and the model"):
        model.with_reranker(Backwards(n_items=7))
    refreshed = model.with_reranker(Backwards()).refreshed(split.train)
    assert refreshed.reranker is None
