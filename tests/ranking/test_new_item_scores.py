"""Items that nobody has interacted with, scored as items of like features are."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch_geometric.data import HeteroData

from graphmeta.data import (
    FeatureMatrix,
    Support,
    feature_matrix,
    from_frame,
    planted_interactions,
    split_cold_items,
    with_new_items,
)
from graphmeta.ranking import ColdStartRecommender, ItemStatistics, evaluate, new_item_scores
from graphmeta.ranking.new_item_scores import POWER, SHARPNESS, NewItemScores

CPU = torch.device("cpu")
SMALL = {"channels": 4, "epochs": 2, "num_neighbors": (2, 2)}


def _features() -> FeatureMatrix:
    """Four tastes of items, a fifth for an item that is like no other, and a number."""
    ids = [f"i{n}" for n in range(104)] + ["alone"]
    tastes = [f"t{n % 4}" for n in range(104)] + ["t4"]
    table = pd.DataFrame({"item": ids, "taste": tastes, "length": np.arange(105)})
    return feature_matrix(table, id="item", categorical=["taste"], numeric=["length"])


def _graph() -> HeteroData:
    graph = from_frame(planted_interactions(), time="time", item_features=_features())
    return with_new_items(graph, _features())


def test_a_score_is_a_power_mean_over_like_items() -> None:
    x = torch.tensor([[1.0, 1, 0, 0.3], [1, 0, 1, 0.1], [0, 1, 1, 0.2], [1, 1, 1, 7], [1, 0, 1, 1]])
    graph = from_frame(pd.DataFrame({"user": [0, 1, 2], "item": [0, 1, 2]}), item_features=x[:3])
    graph["item"].num_nodes, graph["item"].x = 5, x
    part = NewItemScores.of_graph(graph, device=CPU)
    assert part.new.tolist() == [3, 4]
    scores = torch.tensor([[1.0, -2, 0.5, -9, -8], [0, 0, 0, -7, -7]])
    rarity = np.log(5 / np.array([4, 3, 4]))
    vector = x[:, :3].numpy() * rarity
    vector /= np.linalg.norm(vector, axis=1, keepdims=True)
    weight = (vector[3:] @ vector[:3].T) ** POWER
    weight /= weight.sum(1, keepdims=True)
    mean = np.log(np.exp(SHARPNESS * scores[:, :3].numpy()) @ weight.T) / SHARPNESS
    wanted = mean + np.array([[-0.5, 0.5], [0, 0]])
    found = part(scores.clone())
    np.testing.assert_allclose(found[:, 3:], wanted, rtol=1e-5, atol=1e-6)
    assert torch.equal(found[:, :3], scores[:, :3])
    # Adding to all scores of a user adds to these.
    torch.testing.assert_close(part(scores + 100), found + 100, rtol=1e-4, atol=1e-4)
    # Far below the best, a score is low and finite.
    assert bool(part(torch.tensor([[0.0, -1e4, -1e4, 0, 0]])).isfinite().all())


def test_only_the_most_like_items_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(new_item_scores, "N_LIKE", 3)
    part = NewItemScores.of_graph(_graph(), device=CPU)
    assert part.like.shape[1] == 3
    torch.testing.assert_close(part.weight.sum(1), torch.ones(len(part)))


def test_an_item_like_no_other_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = _graph()
    part = NewItemScores.of_graph(graph, device=CPU)
    ids = graph["item"].id_map.to_ids(part.new).tolist()
    assert "alone" not in ids
    assert len(ids) >= 4
    without = from_frame(planted_interactions(), item_features=_features())
    monkeypatch.setattr(new_item_scores, "MOST_ITEMS", 50)
    for none in (without, graph):
        part = NewItemScores.of_graph(none, device=CPU)
        scores = torch.rand(2, int(none["item"].num_nodes))
        assert len(part) == 0
        assert torch.equal(part(scores.clone()), scores)


def test_new_items_are_ranked_by_taste_and_popularity() -> None:
    table = planted_interactions(1000)
    items = pd.DataFrame({"item": table["item"].unique()})
    number = items["item"].str[1:].astype(int)
    items["taste"] = "t" + (number % 4).astype(str)
    # What is known of an item beyond its taste goes with how popular it is.
    rank = table["item"].value_counts().rank().reindex(items["item"]).to_numpy()
    items["shelf"] = "s" + (rank // 25).astype(int).astype(str)
    features = feature_matrix(items, id="item", categorical=["taste", "shelf"])
    graph = from_frame(table, time="time", item_features=features)
    split = split_cold_items(graph, seed=0, share=0.3, k_max=3)
    model = ColdStartRecommender(**SMALL).fit(split.train, split.validation)
    plain = replace(model.fitted, new_items=None)
    found, before = (
        evaluate(scorer, split.test, k=(3,)).per_user["ndcg@10"].mean() for scorer in (model, plain)
    )
    assert found > before + 0.03


def test_an_item_is_recommended_on_the_day_it_comes(tmp_path: Path) -> None:
    graph = from_frame(planted_interactions(), time="time", item_features=_features())
    model = ColdStartRecommender(**SMALL).fit(graph)
    today = model.refreshed(with_new_items(graph, _features()))
    new = set(today.item_ids.ids) - set(model.item_ids.ids)
    # i100 to i103 are of one taste each, and of them the one of the user's own taste is best.
    ranked = [i for i, _ in today.recommend([f"i{4 * n}" for n in range(5)], k=95) if i in new]
    assert ranked[0] == "i100"
    today.save(tmp_path / "today.gm")
    loaded = ColdStartRecommender.load(tmp_path / "today.gm")
    support = Support(torch.tensor([[0, 4, 8], [1, -1, -1]]))
    assert torch.equal(loaded.score(support), today.score(support))
    few = loaded.score(support, candidates=torch.tensor([100, 3, 103]))
    torch.testing.assert_close(few, today.score(support)[:, [100, 3, 103]])


def test_where_they_are_left_alone(planted_graph: HeteroData) -> None:
    assert ColdStartRecommender(channels=2, epochs=0).fit(planted_graph).fitted.new_items is None
    graph = _graph()
    lacking = ColdStartRecommender(channels=2, epochs=0, without=("content",)).fit(graph)
    assert lacking.fitted.new_items is None
    n_items = int(graph["item"].num_nodes)
    known = ItemStatistics({"counted": torch.full((n_items,), 1 / n_items)})
    model = ColdStartRecommender(channels=2, epochs=0).fit(graph, items=known)
    assert model.fitted.new_items is None
    assert model.refreshed(graph).fitted.new_items is None
