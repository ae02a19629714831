"""What an explanation says is so: effects, parts and paths against what they are defined by."""

from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import Tensor

from graphmeta.data import (
    ColdSplit,
    feature_matrix,
    from_frame,
    hold_out_validation,
    planted_interactions,
    split_cold_users,
    with_new_items,
)
from graphmeta.data.cold_users import Support
from graphmeta.errors import ConfigError, UnknownIdError
from graphmeta.explain import Explanation, draw_explanation, explain_ranking, explanation_graph
from graphmeta.explain.left_out import leave_one_out
from graphmeta.meta import RelationNetwork, RidgeHead, relation_learner
from graphmeta.ranking import ColdStartRecommender

HISTORY = ["i1", "i5", "i9"]


@pytest.fixture(scope="module")
def split() -> ColdSplit:
    graph = from_frame(planted_interactions(), rating="rating", time="time")
    # A weight, which does not vote, before three columns of ones, which do.
    ones = (torch.arange(100).view(-1, 1) % torch.tensor([2, 3, 5]) == 0).float()
    graph["item"].x = torch.cat([torch.linspace(0.1, 0.9, 100).view(-1, 1), ones], dim=1)
    graph["user"].x = torch.linspace(-1, 1, 200).view(-1, 1)
    return split_cold_users(graph, seed=0)


@pytest.fixture(scope="module")
def model(split: ColdSplit) -> ColdStartRecommender:
    fitted = ColdStartRecommender(channels=8, epochs=2, min_steps=1).fit(
        split.train, split.validation
    )
    return fitted.adapted()


@pytest.fixture(scope="module")
def explanation(model: ColdStartRecommender) -> Explanation:
    return explain_ranking(model, HISTORY, 4, n_paths=5)


def scores(model: ColdStartRecommender, history: list[str]) -> Tensor:
    return model.score(Support(model.item_ids.to_index(history).unsqueeze(0)))[0]


def test_the_ranking_is_that_of_recommend(
    model: ColdStartRecommender, explanation: Explanation
) -> None:
    assert explanation.ranking == model.recommend(HISTORY, 4)
    assert list(explanation.parts["item"]) == list(explanation.ranking.items)


def test_effects_are_of_leaving_out(model: ColdStartRecommender, explanation: Explanation) -> None:
    edges = explanation.edges
    assert len(edges) == 4 * 3
    shown = model.item_ids.to_index(HISTORY)

    def log_share(history: list[str]) -> Tensor:
        return scores(model, history).index_fill(0, shown, -torch.inf).log_softmax(0)

    full = log_share(HISTORY)
    for row in edges.itertuples():
        without = log_share([item for item in HISTORY if item != row.shown])
        item = model.item_ids.to_index([row.item])
        # Users of one batch share draws, so that scores differ a little.
        assert row.effect == pytest.approx(float(full[item] - without[item]), abs=0.02)
        assert row.rank == 1 + int((full > full[item]).sum())
    for _, of_item in edges.groupby("item"):
        assert of_item["effect"].is_monotonic_decreasing
        assert of_item["vote_share"].sum() == pytest.approx(1, abs=1e-5)


def test_parts_sum_to_the_score(model: ColdStartRecommender, explanation: Explanation) -> None:
    parts = explanation.parts.set_index("item")
    names = ["prior", "product", "vote", "content", "blend", "adaptation"]
    assert [name for name in parts if name != "score"] == names
    assert parts[names].sum(axis=1).to_numpy() == pytest.approx(parts["score"], abs=1e-4)
    assert float(parts["adaptation"].abs().max()) > 0
    found = scores(model, HISTORY)
    others = found.index_fill(0, model.item_ids.to_index(HISTORY), torch.nan).nanmean()
    wanted = found[model.item_ids.to_index(parts.index)] - others
    assert parts["score"].to_numpy() == pytest.approx(wanted.numpy(), abs=1e-4)
    unadapted = explain_ranking(model.unadapted(), HISTORY, 4).parts
    assert unadapted["adaptation"].to_numpy() == pytest.approx(0, abs=1e-4)


def test_paths_lead_from_shown_to_recommended(
    model: ColdStartRecommender, explanation: Explanation
) -> None:
    graph = model.train_graph
    pairs = {
        (u, i)
        for u, i in zip(
            graph["user"].id_map.to_ids(graph["user", "rates", "item"].edge_index[0]),
            graph["item"].id_map.to_ids(graph["user", "rates", "item"].edge_index[1]),
            strict=True,
        )
    }
    x = graph["item"].x[graph["item"].id_map.to_index([*HISTORY, *explanation.ranking.items])]
    features = dict(zip([*HISTORY, *explanation.ranking.items], x, strict=True))
    assert set(explanation.paths["kind"]) == {"user", "feature"}
    for path in explanation.paths.itertuples():
        for item in (path.shown, path.item):
            if path.kind == "user":
                assert (path.over, item) in pairs
            else:
                assert path.over in (1, 2, 3)
                assert features[item][path.over] == 1
    for _, of_item in explanation.paths.groupby(["item", "kind"]):
        assert len(of_item) <= 5
        assert of_item["share"].is_monotonic_decreasing
        assert 0 < of_item["share"].sum() <= 1 + 1e-5


def test_all_paths_of_an_item_share_its_votes(model: ColdStartRecommender) -> None:
    found = explain_ranking(model, HISTORY, 2, n_paths=10_000)
    sums = found.paths.groupby(["item", "kind"])["share"].sum()
    assert sums.to_numpy() == pytest.approx(1, abs=1e-4)
    # What came over a shown item is the sum of its paths.
    users = found.paths[found.paths["kind"] == "user"]
    over = users.groupby(["item", "shown"])["share"].sum()
    for row in found.edges.itertuples():
        assert row.vote_share == pytest.approx(over.get((row.item, row.shown), 0.0), abs=1e-4)


def test_sampled_voters(split: ColdSplit) -> None:
    model = ColdStartRecommender(channels=8, epochs=1, min_steps=1, num_voters=4).fit(split.train)
    found = explain_ranking(model, HISTORY, 3, n_paths=100)
    of_users = found.paths[found.paths["kind"] == "user"]
    assert of_users.groupby("item")["over"].nunique().max() <= 4 * len(HISTORY)
    assert found.parts["score"].is_monotonic_decreasing


def test_items_that_are_new_are_explained_by_known_ones_like_them() -> None:
    table = planted_interactions()
    items = pd.DataFrame({"item": [*table["item"].unique(), "new"]})
    items["taste"] = ["t0" if name in ("new", "i1", "i5") else "t1" for name in items["item"]]
    features = feature_matrix(items, id="item", categorical=["taste"])
    graph = with_new_items(from_frame(table, item_features=features), features)
    model = ColdStartRecommender(channels=2, epochs=1, min_steps=1).fit(graph)
    parts = explain_ranking(model, ["i9"], 100).parts.set_index("item")
    like = parts["like_items"] - parts["like_items"].drop("new").iloc[0]
    assert abs(float(like["new"])) > 0.1
    assert like.drop("new").to_numpy() == pytest.approx(0, abs=1e-4)
    named = parts.drop(columns="score")
    assert named.sum(axis=1).to_numpy() == pytest.approx(parts["score"], abs=1e-3)


def test_a_learner_that_adds_to_the_score(split: ColdSplit) -> None:
    learner = relation_learner(
        split.train.metadata(), channels=8, wrap=lambda e: RelationNetwork(e, channels=8)
    )
    model = ColdStartRecommender(learner, channels=8, epochs=1, min_steps=1).fit(split.train)
    parts = explain_ranking(model, HISTORY, 3).parts
    assert float(parts["adaptation"].abs().max()) > 0
    assert list(parts["score"]) == sorted(parts["score"], reverse=True)


def test_paths_are_those_of_the_adapted_user(split: ColdSplit) -> None:
    learner = relation_learner(split.train.metadata(), channels=8, wrap=RidgeHead)
    model = ColdStartRecommender(learner, channels=8, epochs=1, min_steps=1).fit(split.train)
    adapted, unadapted = (
        explain_ranking(way, HISTORY, 3, n_paths=10_000).paths.set_index(
            ["item", "kind", "shown", "over"]
        )["share"]
        for way in (model, model.unadapted())
    )
    both, others = adapted.align(unadapted, join="inner")
    # The user's taste is part of the voters' attention.
    assert len(both)
    assert float((both - others).abs().max()) > 1e-6


def test_features_of_a_user_and_no_history(model: ColdStartRecommender) -> None:
    known = explain_ranking(model, [], 3, user_x=torch.ones(1))
    assert float(known.parts["features"].abs().max()) > 0
    nobody = explain_ranking(model, [], 3)
    assert (len(nobody.edges), len(nobody.paths)) == (0, 0)
    assert not nobody.parts[["product", "vote", "content"]].to_numpy().any()
    one = explain_ranking(model, HISTORY[:1], 3)
    assert set(one.edges["shown"]) == {HISTORY[0]}


def test_one_item_of_it(explanation: Explanation) -> None:
    item = explanation.ranking.items[2]
    found = explanation.of(item)
    assert list(found.ranking) == [explanation.ranking[2]]
    for table in (found.edges, found.parts, found.paths):
        assert set(table["item"]) == {item}
    with pytest.raises(UnknownIdError, match="'i1' was not recommended"):
        explanation.of("i1")


def test_bad_input(model: ColdStartRecommender) -> None:
    with pytest.raises(ConfigError, match="n_paths=-1 must be 0 or more"):
        explain_ranking(model, HISTORY, n_paths=-1)
    with pytest.raises(UnknownIdError, match="history"):
        explain_ranking(model, ["no"])
    assert explain_ranking(model, ["no", "i1"], on_unknown="drop").ranking.unknown == ("no",)


def test_leave_one_out_takes_ratings_and_times_along() -> None:
    support = Support(
        torch.tensor([[4, 7, 9]]),
        rating=torch.tensor([[1.0, 2.0, 3.0]]),
        user_x=torch.tensor([[0.5]]),
    )
    left = leave_one_out(support)
    assert left.item_index.tolist() == [[7, 9], [4, 9], [4, 7]]
    assert left.rating is not None
    assert left.rating.tolist() == [[2, 3], [1, 3], [1, 2]]
    assert left.time is None
    assert left.user_x is not None
    assert left.user_x.tolist() == [[0.5]] * 3
    assert leave_one_out(Support(torch.tensor([[4]]))).item_index.shape == (1, 0)


def test_the_picture(explanation: Explanation, tmp_path: Path) -> None:
    graph = explanation_graph(explanation)
    layers = pd.Series(dict(graph.nodes("layer")))
    assert set(layers) == {0, 1, 2}
    assert all(abs(layers[a] - layers[b]) == 1 for a, b in graph.edges)
    draw_explanation(tmp_path / "why.png", explanation, titles={"i1": "A title" * 9})
    plain = (tmp_path / "why.png").read_bytes()
    assert plain.startswith(b"\x89PNG")
    # Titles are of items: a user of the same id keeps its own name.
    over = dict.fromkeys(explanation.paths["over"], "no item")
    draw_explanation(tmp_path / "why.png", explanation, titles={**over, "i1": "A title" * 9})
    assert (tmp_path / "why.png").read_bytes() == plain
    draw_explanation(tmp_path / "no.png", explanation.of(explanation.ranking.items[0]))


def test_features_have_their_names(tmp_path: Path) -> None:
    table = planted_interactions()
    items = pd.DataFrame({"item": sorted(table["item"].unique())})
    items["genres"] = ["Drama|War" if n % 3 else "Comedy" for n in range(len(items))]
    films = feature_matrix(items, id="item", multi_hot=["genres"])
    graph = from_frame(table, item_features=films)
    train, _ = hold_out_validation(graph)
    model = ColdStartRecommender(channels=8, epochs=1, min_steps=1).fit(train)
    model.save(tmp_path / "film.gm")
    loaded = ColdStartRecommender.load(tmp_path / "film.gm")
    for some in (model, loaded):
        paths = explain_ranking(some, ["i1", "i2", "i3"], 3).paths
        over = set(paths.loc[paths["kind"] == "feature", "over"])
        assert over
        assert over <= {"genres=Comedy", "genres=Drama", "genres=War"}
