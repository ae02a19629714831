"""A served model says what the recommender says, in text ids and for many at once."""

import pandas as pd
import pytest
import torch

from graphmeta.data import bipartite_graph, from_frame, planted_interactions
from graphmeta.data.id_map import IdMap
from graphmeta.errors import ConfigError, DataError, UnknownIdError
from graphmeta.ranking import ColdStartRecommender
from graphmeta.serve import ServedModel
from graphmeta.serve.served_model import RankRequest
from graphmeta.serve.store import Event


@pytest.fixture(scope="module")
def served(model: ColdStartRecommender) -> ServedModel:
    return ServedModel(model)


def events(*items: str, kind: str = "interaction", rating: float | None = None) -> list[Event]:
    return [Event(item, kind, rating, float(n)) for n, item in enumerate(items)]  # type: ignore[arg-type]


def test_many_at_once_are_ranked_as_alone(served: ServedModel, model: ColdStartRecommender) -> None:
    asked = [
        (events("i1", "i5", "i9"), 4, 0.0),
        (events("i2", "i3", "i4"), 6, 0.0),
        (events("i2", "i3", "i4", rating=5.0), 6, 0.0),
        (events("i2", "i3", "i4"), 6, 0.5),
        (events(), 3, 0.0),
        (events("i7"), 3, 0.0),
    ]
    requests = [
        RankRequest(tuple(shown), k, served.allowed(shown), niche) for shown, k, niche in asked
    ]
    for request, found in zip(requests, served.rank(requests), strict=True):
        history = [event.item for event in request.events]
        ratings = [event.rating for event in request.events]
        wanted = model.with_niche(request.niche).recommend(
            history, request.k, ratings=ratings if history and ratings[0] else None
        )
        assert tuple(served.ids[row] for row in found.rows) == wanted.items
        assert found.scores == pytest.approx(wanted.scores, abs=1e-4)
        assert found.source == wanted.source
        again = RankRequest(request.events, request.k, request.allowed, request.niche, found.state)
        assert served.rank([again])[0].rows == found.rows
    assert served.rank([]) == []


def test_times_are_read_where_training_had_a_clock() -> None:
    table = planted_interactions()
    clocked = table.assign(time=table["time"] + 1.6e9)
    for frame, is_read in ((table, False), (clocked, True)):
        graph = from_frame(frame, time="time")
        served = ServedModel(ColdStartRecommender(channels=8, epochs=1).fit(graph))
        near, far = (
            tuple(Event(f"i{n}", "interaction", None, 1.7e9 + n * step) for n in range(3))
            for step in (1.0, 1e7)
        )
        requests = [RankRequest(some, 5, served.allowed(some)) for some in (near, far)]
        first, second = served.rank(requests)
        assert (first.scores != pytest.approx(second.scores, abs=1e-4)) == is_read


def test_what_may_be_recommended(served: ServedModel) -> None:
    seen = [*events("i1", "no"), *events("i2", kind="dismissed"), *events("i3", kind="unknown")]
    allowed = served.allowed(seen)
    assert int(allowed.sum()) == 98
    assert not allowed[[served.row_of["i1"], served.row_of["i2"]]].any()
    assert [event.item for event in served.known(seen)] == ["i1"]
    assert served.unknown(["no", "i1", "no"]) == ["no"]
    with pytest.raises(UnknownIdError, match="include: 1 of 2 ids are unknown"):
        served.allowed([], include=["i1", "no"])


def test_search_finds_words_in_any_order(served: ServedModel) -> None:
    def titles(text: str) -> list[str]:
        return [served.titles[row] for row in served.search(text, 100)]

    assert titles("FILM the 12") == ["The Film 12"]
    assert titles("i12") == [served.titles[served.row_of["i12"]]]
    assert titles("DROP table") == ["'; DROP TABLE users; --"]
    assert len(titles("")) == 100
    popularity = [float(served.popularity[row]) for row in served.search("the", 20)]
    assert popularity == sorted(popularity, reverse=True)


def test_titles(model: ColdStartRecommender) -> None:
    assert ServedModel(model, title="genres").titles[0] == "Comedy"
    with pytest.raises(ConfigError, match="the bundle has no item column 'name'"):
        ServedModel(model, title="name")
    bare = ColdStartRecommender(channels=8, epochs=0).fit(model.train_graph)
    assert ServedModel(bare).titles == ServedModel(bare).ids
    assert ServedModel(bare).about(0) == {}
    some = pd.DataFrame({"item": bare.item_ids.ids[:1], "name": ["One"]})
    assert ServedModel(bare.describe_items(some)).titles[:2] == ["One", bare.item_ids.ids[1]]


def test_ids_that_are_the_same_as_text_are_refused() -> None:
    graph = bipartite_graph(
        torch.tensor([[0, 0, 1, 1, 2, 2], [0, 1, 1, 0, 1, 2]]),
        user_ids=IdMap([0, 1, 2]),
        item_ids=IdMap(pd.Index([1, "1", "a"], dtype=object)),
    )
    with pytest.raises(DataError, match="two items have the same id as text"):
        ServedModel(ColdStartRecommender(channels=8, epochs=0).fit(graph))


def test_what_is_left_is_ranked_and_asked(served: ServedModel) -> None:
    few = served.allowed([], include=["i1", "i2"])
    full, none = served.rank([RankRequest((), 2, few), RankRequest((), 0, torch.zeros_like(few))])
    assert {served.ids[row] for row in full.rows} == {"i1", "i2"}
    assert none.rows == ()
    asked = events(*served.ids[:98], kind="unknown")
    assert len(served.ask(asked, 5)) == 2
    assert served.ask(events(*served.ids), 5) == []
