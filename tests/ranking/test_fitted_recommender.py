"""What a caller asks of a fitted recommender: one user, a table of users, and bad input."""

import warnings
from typing import Any

import pandas as pd
import pytest
import torch
from torch_geometric.data import HeteroData

from graphmeta.data import Support, from_frame, planted_interactions
from graphmeta.encoders import RestingHead, pruned_product
from graphmeta.errors import ConfigError, DataError, UnknownIdError
from graphmeta.meta import RidgeHead, relation_learner
from graphmeta.ranking import ColdStartRecommender, Ranking


@pytest.fixture(scope="module")
def graph() -> HeteroData:
    return from_frame(planted_interactions(), rating="rating", time="time")


@pytest.fixture(scope="module")
def model(graph: HeteroData) -> ColdStartRecommender:
    return ColdStartRecommender(channels=8, epochs=1, min_steps=1).fit(graph)


@pytest.fixture(scope="module")
def ids(graph: HeteroData) -> list[str]:
    return list(graph["item"].id_map.ids)


def test_a_ranking_is_a_sequence_of_pairs(model: ColdStartRecommender, ids: list[str]) -> None:
    ranking = model.recommend(ids[:3], 5)
    assert isinstance(ranking, Ranking)
    assert len(ranking) == 5
    assert ranking[0] == next(iter(ranking)) == (ranking.items[0], ranking.scores[0])
    assert list(ranking[1:3]) == list(ranking)[1:3]
    frame = ranking.to_frame()
    assert list(frame.columns) == ["rank", "item", "score", "source"]
    assert list(frame["rank"]) == [1, 2, 3, 4, 5]
    assert tuple(frame["item"]) == ranking.items


def test_the_source_says_what_ranked(model: ColdStartRecommender, ids: list[str]) -> None:
    assert model.recommend([]).source == "popular"
    # Nothing can be left out of one edge to adapt on.
    assert model.recommend(ids[:1]).source == "unadapted"
    assert model.recommend(ids[:3]).source == "adapted"
    assert model.unadapted().recommend(ids[:3]).source == "unadapted"


def test_times_set_the_order_and_repeats_count_once(
    model: ColdStartRecommender, ids: list[str]
) -> None:
    a, b, c = ids[:3]
    in_order = model.recommend([a, b, c], times=[1.0, 2.0, 3.0])
    shuffled = model.recommend([c, a, b, a], times=[3.0, 1.0, 2.0, 9.0])
    assert shuffled == in_order
    dates = pd.to_datetime([1.0, 2.0, 3.0], unit="s")
    assert model.recommend([a, b, c], times=dates) == in_order
    assert model.recommend([a, b, c], times=[1.0, 2.0, 4e8]) != in_order


def test_ratings_are_read(model: ColdStartRecommender, ids: list[str]) -> None:
    liked, disliked = (model.recommend(ids[:3], ratings=[r] * 3) for r in (5.0, 1.0))
    assert liked.scores != disliked.scores


def test_include_and_exclude(model: ColdStartRecommender, ids: list[str]) -> None:
    some = model.recommend(ids[:3], 4, include=ids[2:8], exclude=ids[7:9])
    assert set(some.items) == set(ids[3:7])
    everything = model.recommend(ids[:3], len(ids) - 3)
    assert list(some) == [(i, s) for i, s in everything if i in some.items]
    with pytest.raises(ConfigError, match=r"k=5 is outside 1\.\.4, the items left to recommend;"):
        model.recommend(ids[:3], 5, include=ids[2:8], exclude=ids[7:9])


def test_unknown_ids(model: ColdStartRecommender, ids: list[str]) -> None:
    with pytest.raises(UnknownIdError, match=r"history: 1 of 3 .*on_unknown='drop' leaves"):
        model.recommend([ids[0], "no", ids[1]])
    known = model.recommend(ids[:2])
    found = model.recommend([ids[0], "no", ids[1], "no", "other"], on_unknown="drop")
    assert found.unknown == ("no", "other")
    assert list(found) == list(known)
    with pytest.warns(UserWarning, match=r"history: 1 of 2 ids are unknown .*'no'"):
        model.recommend([ids[0], "no"], on_unknown="warn")
    for name in ("include", "exclude"):
        with pytest.raises(UnknownIdError, match=f"{name}: 1 of 1"):
            model.recommend([], **{name: ["no"]})
    assert "no" not in model.recommend([], exclude=["no"], on_unknown="drop").items
    with pytest.raises(ConfigError, match="on_unknown='skip' must be one of"):
        model.recommend([], on_unknown="skip")  # type: ignore[arg-type]
    # Nothing known is no history.
    nobody = model.recommend(["no"], on_unknown="drop")
    assert (nobody.source, list(nobody)) == ("popular", list(model.recommend([])))


def test_bad_histories(model: ColdStartRecommender, ids: list[str]) -> None:
    for history in (ids[0], 318, None):
        with pytest.raises(DataError, match=r"history is .*; give a list"):
            model.recommend(history)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"history holds \['i66'\], which is no id"):
        model.recommend([ids[:1]])
    with pytest.raises(DataError, match="interactions are a list; give a pandas DataFrame"):
        model.recommend_table(ids)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="there are 1 ratings for 2 items"):
        model.recommend(ids[:2], ratings=[1.0])
    with pytest.raises(DataError, match="rating column 'rating' is not numeric"):
        model.recommend(ids[:1], ratings=["good"])
    with pytest.raises(DataError, match="time column 'time' is not finite in 1 of 1"):
        model.recommend(ids[:1], times=[float("nan")])
    with pytest.raises(ConfigError, match=r"k=0 is outside"):
        model.recommend(ids[:1], 0)


def test_a_table_of_users(model: ColdStartRecommender, ids: list[str]) -> None:
    histories = {"zoe": ids[:3], 7: ids[4:5], "bob": ids[2:5], "nobody": ["no"]}
    rows = [(u, i) for u, history in histories.items() for i in history]
    table = pd.DataFrame(rows, columns=["who", "what"])
    found = model.recommend_table(table, 4, user="who", item="what", on_unknown="drop")
    assert list(found.columns) == ["user", "rank", "item", "score", "source"]
    assert list(found["user"].unique()) == list(histories)
    assert list(found["rank"]) == [1, 2, 3, 4] * 4
    source = found.groupby("user", sort=False)["source"].first().to_dict()
    assert source == {"zoe": "adapted", 7: "unadapted", "bob": "adapted", "nobody": "popular"}
    # A user alone in a block draws as a user asked for alone does.
    for user in (7, "nobody"):
        alone = model.recommend(histories[user], 4, on_unknown="drop")
        mine = found[found["user"] == user]
        assert tuple(mine["item"]) == alone.items
        assert tuple(mine["score"]) == pytest.approx(alone.scores)
    for user, history in histories.items():
        assert not set(found["item"][found["user"] == user]) & set(history)


def test_the_columns_of_a_table(model: ColdStartRecommender, ids: list[str]) -> None:
    table = pd.DataFrame(
        {"user": [1, 1, 1], "item": [ids[2], ids[0], ids[1]], "at": [3.0, 1.0, 2.0], "r": [3, 1, 2]}
    )
    found = model.recommend_table(table, 3, time="at", rating="r")
    one = model.recommend(ids[:3], 3, times=[1.0, 2.0, 3.0], ratings=[1, 2, 3])
    assert tuple(found["item"]) == one.items
    with pytest.raises(DataError, match="stars"):
        model.recommend_table(table, rating="stars")
    with pytest.raises(DataError, match=r"1 of 2 ids in column 'user' are missing \(first: row 1"):
        model.recommend_table(pd.DataFrame({"user": ["a", None], "item": ids[:2]}))
    more = pd.DataFrame({"user": [2], "item": ids[:1]})
    with pytest.raises(ConfigError, match=r"k=99 is outside 1\.\.97, .* to user 1;"):
        model.recommend_table(pd.concat([table, more]), 99)
    nobody = model.recommend_table(table[:0])
    assert (len(nobody), list(nobody.columns)) == (0, list(found.columns))


def test_bulk_warns_once(model: ColdStartRecommender, ids: list[str]) -> None:
    table = pd.DataFrame({"user": [1, 2, 3], "item": ["a", "b", ids[0]]})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.recommend_table(table, on_unknown="warn")
    assert [str(w.message)[:40] for w in caught] == ["history: 2 of 3 ids are unknown and left"]


def test_a_fit_that_fails_leaves_the_model_as_it_was(graph: HeteroData, ids: list[str]) -> None:
    model = ColdStartRecommender(channels=8, epochs=0).fit(graph)
    before = model.recommend(ids[:3])
    lonely = from_frame(pd.DataFrame({"user": [1, 2], "item": ["a", "b"]}))
    with pytest.raises(DataError):
        model.fit(lonely)
    assert model.recommend(ids[:3]) == before


def test_not_fitted() -> None:
    model = ColdStartRecommender()
    assert (model.gate, model.blend) == ({}, {})
    for call in (lambda: model.recommend([]), lambda: model.adapted(), lambda: model.item_ids):
        with pytest.raises(DataError, match="not fitted; call fit"):
            call()


def test_a_block_of_users_with_features(graph: HeteroData) -> None:
    graph = graph.clone()
    graph["user"].x = torch.ones(int(graph["user"].num_nodes), 2)
    model = ColdStartRecommender(channels=8, epochs=0).fit(graph)
    table = pd.DataFrame({"user": [1], "item": graph["item"].id_map.ids[:1]})
    assert len(model.recommend_table(table, 3)) == 3


def test_who_else_is_in_the_batch_makes_no_difference(graph: HeteroData, ids: list[str]) -> None:
    model = ColdStartRecommender(
        channels=8, epochs=1, min_steps=1, num_neighbors=(2, 2), num_voters=2
    ).fit(graph)
    table = pd.DataFrame({"user": [0] * 3 + [1] * 3 + [2] * 3, "item": [*ids[9:15], *ids[:3]]})
    together = model.recommend_table(table, 20)
    alone = model.recommend(ids[:3], 20)
    mine = together[together["user"] == 2]
    assert tuple(mine["item"]) == alone.items
    assert tuple(mine["score"]) == pytest.approx(alone.scores, abs=1e-5)


def test_niche_moves_known_items_down(model: ColdStartRecommender, ids: list[str]) -> None:
    degree = dict(zip(ids, model.fitted.head.vote.item_degree.tolist(), strict=True))
    degrees = [
        sum(degree[i] for i in model.with_niche(niche).recommend(ids[:3], 10).items)
        for niche in (-3.0, 0.0, 3.0)
    ]
    assert degrees[0] > degrees[1] > degrees[2]
    assert model.with_niche(0).recommend(ids[:3]) == model.recommend(ids[:3])
    plain, nicher = (dict(m.recommend([], 50)) for m in (model, model.with_niche(0.5)))
    total = sum(degree.values()) + len(ids)
    for item in plain.keys() & nicher.keys():
        lost = 0.5 * torch.tensor((degree[item] + 1) / total).log().item()
        assert nicher[item] == pytest.approx(plain[item] - lost, abs=1e-5)
    with pytest.raises(ConfigError, match="niche=nan must be a finite number"):
        model.with_niche(float("nan"))


def test_users_who_have_shown_unlike_much_are_scored_in_one_call(
    model: ColdStartRecommender,
) -> None:
    rows = [[5, 3, 8, 1], [2, -1, -1, -1], [-1] * 4, [9, 4, -1, -1], [7, 6, 2, -1]]
    rating = torch.linspace(1, 5, 20).view(5, 4)
    support = Support(torch.tensor(rows), rating=rating, time=10 * rating.double())
    together = model.score(support)
    weights = model.fitted.adapt(support)
    assert [bool(own) for own in weights] == [True, False, False, True, True]
    assert torch.allclose(model.fitted.score(support, weights=weights), together, atol=1e-6)
    for row, shown in enumerate(rows):
        n = sum(item >= 0 for item in shown)
        alone = Support(
            support.item_index[row : row + 1, :n],
            rating=rating[row : row + 1, :n],
            time=10 * rating[row : row + 1, :n].double(),
        )
        assert torch.allclose(model.score(alone)[0], together[row], atol=1e-5)
    some = torch.tensor([[3, 1], [4, 1], [5, 9], [2, 6], [0, 8]])
    found = model.score(support, candidates=some)
    assert torch.equal(found, together.gather(1, some))


def test_nobody_is_scored_too(model: ColdStartRecommender, ids: list[str]) -> None:
    nobody = Support(torch.empty(0, 3, dtype=torch.long))
    assert model.score(nobody).shape == (0, len(ids))
    assert model.score(nobody, candidates=torch.tensor([1, 2])).shape == (0, 2)
    assert model.fitted.adapt(nobody) == []


@pytest.mark.parametrize(("wrap", "has_prior"), [(None, False), (None, True), (RidgeHead, False)])
def test_a_large_catalogue_is_ranked_alike_without_scoring_all_of_it(
    graph: HeteroData,
    ids: list[str],
    monkeypatch: pytest.MonkeyPatch,
    wrap: type[RidgeHead] | None,
    has_prior: bool,
) -> None:
    learner = wrap and relation_learner(graph.metadata(), channels=8, wrap=wrap)
    model = ColdStartRecommender(learner, channels=8, epochs=1, min_steps=1, num_voters=3)
    model.fit(graph)
    if has_prior:  # What is added to the scores counts, so that all items are scored.
        model = model.with_niche(0.5)
    table = planted_interactions(30, 100, per_user=4, seed=7)[["user", "item", "rating", "time"]]
    calls = [
        lambda: list(model.recommend(ids[:3], 12, exclude=ids[20:30])),
        lambda: list(model.recommend(ids[:1], 5, include=ids[:30])),
        lambda: list(model.recommend([], 4)),
        lambda: list(model.recommend(model.adapt(ids[2:6]), 7)),
    ]
    wanted = [call() for call in calls]
    rows = model.recommend_table(table, 10, rating="rating", time="time")
    model.fitted.head.pruned_above = 50
    monkeypatch.setattr(pruned_product, "FIRST_ITEMS", 8)
    asked: list[int] = []
    best = RestingHead.best

    def counting(*arguments: Any, **options: Any) -> Any:
        asked.append(options["k"])
        return best(*arguments, **options)

    monkeypatch.setattr(RestingHead, "best", counting)
    for call, one in zip(calls, wanted, strict=True):
        found = call()
        assert [item for item, _ in found] == [item for item, _ in one]
        assert [score for _, score in found] == pytest.approx([score for _, score in one], abs=1e-4)
    assert asked == ([] if has_prior else [12, 5, 4, 7])
    again = model.recommend_table(table, 10, rating="rating", time="time")
    pd.testing.assert_frame_equal(again, rows, atol=1e-4)


def test_what_is_allowed_must_be_told_of_every_item(model: ColdStartRecommender) -> None:
    with pytest.raises(DataError, match=r"allowed says of 5 items .* each of the 100 of the cat"):
        model.fitted.best(Support(torch.tensor([[1]])), k=2, allowed=torch.ones(5).bool())
