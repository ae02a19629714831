"""The same weights on a newer graph: by external id, with new items and without vanished ones."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch_geometric.data import HeteroData

from graphmeta.data import ColdSplit, from_frame, planted_interactions, split_cold_users
from graphmeta.data.bipartite_graph import FORWARD, REVERSE
from graphmeta.data.split import training_graph
from graphmeta.errors import ConfigError, DataError, UnknownIdError
from graphmeta.ranking import ColdStartRecommender
from graphmeta.ranking.linear_part import Linear, LinearPart
from graphmeta.ranking.prior_blend import Blend, PriorBlend

HISTORY = ["i1", "i5", "i9", "i13"]


def graph_of(frame: pd.DataFrame) -> HeteroData:
    return from_frame(frame, rating="rating", time="time")


@pytest.fixture(scope="module")
def split() -> ColdSplit:
    return split_cold_users(graph_of(planted_interactions()), seed=0)


@pytest.fixture(scope="module")
def model(split: ColdSplit) -> ColdStartRecommender:
    model = ColdStartRecommender(channels=8, epochs=1, min_steps=4, without=["product"], seed=3)
    return model.fit(split.train, split.validation)


def scores(model: ColdStartRecommender, history: list[str] = HISTORY) -> dict[str, float]:
    ids = model.item_ids
    support = model.adapt(history, ratings=[1.0] * len(history), times=range(len(history))).support
    return dict(zip(ids.ids.tolist(), model.score(support)[0].tolist(), strict=True))


def test_the_same_graph_changes_nothing(model: ColdStartRecommender, split: ColdSplit) -> None:
    same = model.refreshed(split.train)
    assert same.fingerprint == model.fingerprint
    assert scores(same) == scores(model)
    assert (same.gate, same.blend) == (model.gate, model.blend)


def test_a_newer_graph_makes_another_model(model: ColdStartRecommender, split: ColdSplit) -> None:
    edges = split.train["user", "rates", "item"]
    order = torch.arange(edges.num_edges).flip(0)
    same, less, rated = (split.train.clone() for _ in range(3))
    for graph, kept in ((same, order), (less, order[:-1])):
        for edge_type, rows in ((FORWARD, [0, 1]), (REVERSE, [1, 0])):
            store = graph[edge_type]
            store.edge_index = edges.edge_index[rows][:, kept]
            store.rating, store.time = edges.rating[kept], edges.time[kept]
    for edge_type in (FORWARD, REVERSE):
        rated[edge_type].rating = rated[edge_type].rating + 1
    assert model.refreshed(same).fingerprint == model.fingerprint
    state = model.adapt(HISTORY)
    for graph in (less, rated):
        newer = model.refreshed(graph)
        assert newer.fingerprint != model.fingerprint
        with pytest.raises(DataError, match="made by another model"):
            newer.recommend(state)


def test_the_choices_are_part_of_the_fingerprint(
    model: ColdStartRecommender, split: ColdSplit
) -> None:
    scorer = model.fitted
    blended = PriorBlend.of_graph(split.train, device=scorer.device)
    others = [replace(scorer, prior=PriorBlend(blended.log_prior, {1: Blend("popularity", 0.3)}))]
    for weight in (5.0, 10.0):
        linear = LinearPart.of_graph(split.train, Linear(100.0, weight, 10), device=scorer.device)
        others.append(replace(scorer, linear=linear))
    prints = {model._with(other).fingerprint for other in (scorer, *others)}
    assert len(prints) == 4


def test_items_go_along_by_id(model: ColdStartRecommender) -> None:
    """A graph with rows in another order ranks the same."""
    graph = model.train_graph
    n = graph["user", "rates", "item"].num_edges
    backwards = graph.clone()
    frame = pd.DataFrame(
        {
            "user": graph["user"].id_map.ids[graph["user", "rates", "item"].edge_index[0]],
            "item": graph["item"].id_map.ids[graph["user", "rates", "item"].edge_index[1]],
            "rating": graph["user", "rates", "item"].rating,
            "time": graph["user", "rates", "item"].time,
        }
    )
    backwards = graph_of(frame[::-1])
    assert backwards["user", "rates", "item"].num_edges == n
    whole = ColdStartRecommender(channels=8, epochs=1, min_steps=4, num_neighbors=(-1, -1), seed=3)
    whole.fit(graph)
    turned = whole.refreshed(backwards)
    assert list(turned.item_ids.ids) != list(whole.item_ids.ids)
    before, after = scores(whole), scores(turned)
    assert {i: pytest.approx(s, abs=1e-4) for i, s in before.items()} == after


def test_new_items_are_voted_for_at_once(model: ColdStartRecommender, split: ColdSplit) -> None:
    frame = planted_interactions()
    known = set(split.train["user"].id_map.ids)
    frame = frame[frame["user"].isin(known)]
    owners = frame.loc[frame["item"] == "i1", "user"].unique()
    new = pd.DataFrame({"user": owners, "item": "new", "rating": 1.0, "time": 1e9})
    found = scores(model.refreshed(graph_of(pd.concat([frame, new]))), ["i1"])
    assert set(found) == {*model.item_ids.ids.tolist(), "new"}
    place = sorted(found, key=found.__getitem__, reverse=True).index("new")
    assert place < 10  # Whoever has i1 has it too.


def test_vanished_items_are_gone(model: ColdStartRecommender, split: ColdSplit) -> None:
    graph = split.train
    gone = int(graph["item"].id_map.find(["i7"]))
    keep = (graph["user", "rates", "item"].edge_index[1] != gone).nonzero().flatten().numpy()
    smaller = model.refreshed(training_graph(graph, keep)[0])
    assert set(model.item_ids.ids) - set(smaller.item_ids.ids) == {"i7"}
    row = smaller.item_ids.find(model.item_ids.ids)
    kept = smaller.fitted.head.table.embedding[row[row >= 0]]
    assert torch.equal(kept, model.fitted.head.table.embedding[row >= 0])


def test_an_item_that_nobody_ties_to_others_gets_the_mean(model: ColdStartRecommender) -> None:
    frame = planted_interactions()
    alone = pd.DataFrame({"user": ["x"], "item": ["alone"], "rating": [1.0], "time": [1e9]})
    newer = model.refreshed(graph_of(pd.concat([frame, alone])))
    row = int(newer.item_ids.find(["alone"]))
    table = model.fitted.head.table.embedding
    assert torch.allclose(newer.fitted.head.table.embedding[row], table.mean(0), atol=1e-6)


def test_left_out_parts_stay_left_out(model: ColdStartRecommender, split: ColdSplit) -> None:
    tuned = model.fine_tuned(split.train, n_steps=2)
    assert not tuned.fitted.head.curve.values["product"].any()


def test_a_refreshed_model_is_saved(
    model: ColdStartRecommender, split: ColdSplit, tmp_path: Path
) -> None:
    newer = model.refreshed(graph_of(planted_interactions()))
    newer.save(tmp_path / "newer.gm")
    read = ColdStartRecommender.load(tmp_path / "newer.gm")
    assert scores(read) == scores(newer)
    assert scores(read.refreshed(split.train)) == scores(model)  # And a loaded one is refreshed.


def test_fine_tuning_learns_and_leaves_the_model(
    model: ColdStartRecommender, split: ColdSplit
) -> None:
    before = scores(model)
    some = split.train["user"].id_map.ids[:20]
    tuned = model.fine_tuned(split.train, n_steps=3, users=some)
    assert scores(tuned) != before
    assert scores(model) == before
    assert scores(model.fine_tuned(split.train, n_steps=0)) == before
    assert tuned.blend == model.blend
    with pytest.raises(ConfigError, match="n_steps=-1 must be"):
        model.fine_tuned(split.train, n_steps=-1)
    with pytest.raises(UnknownIdError, match="nobody"):
        model.fine_tuned(split.train, users=["nobody"])


def test_propensities_are_those_of_the_newer_graph(split: ColdSplit) -> None:
    model = ColdStartRecommender(channels=8, epochs=0, propensity_power=0.5).fit(split.train)
    tuned = model.fine_tuned(graph_of(planted_interactions()), n_steps=1)
    weight = tuned.fitted.head.query_weight
    assert weight is not None
    assert len(weight) == len(tuned.item_ids)


def test_what_does_not_fit_is_refused(model: ColdStartRecommender) -> None:
    frame = planted_interactions()
    with pytest.raises(DataError, match="newer graph's have none"):
        model.refreshed(from_frame(frame, time="time"))
    with pytest.raises(DataError, match="no item in common"):
        model.refreshed(graph_of(frame.assign(item=range(len(frame)))))
    featured = graph_of(frame)
    featured["item"].x = torch.ones(featured["item"].num_nodes, 2)
    with pytest.raises(DataError, match="items of the newer graph have 2 features"):
        model.refreshed(featured)
    with pytest.raises(DataError, match="not fitted"):
        ColdStartRecommender().refreshed(featured)
