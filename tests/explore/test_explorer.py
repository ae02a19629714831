"""Exploring with one user, in the caller's ids."""

import pytest

from graphmeta.errors import ConfigError, DataError, UnknownIdError
from graphmeta.explore import POLICIES, UCB, Explorer, Scales
from graphmeta.ranking import ColdStartRecommender
from graphmeta.rerank import LongTailReranker

SCALES = Scales(level=3.0, taste=0.5)


def test_greedy_is_recommend(model: ColdStartRecommender) -> None:
    history = model.item_ids.ids[[3, 17]].tolist()
    expected = [item for item, _ in model.recommend(history, k=6)]
    assert Explorer(model, "greedy").next(history, n=6) == expected
    refused, rest = expected[:2], expected[2:]
    assert Explorer(model, "greedy").next(history, refused, n=4) == rest


@pytest.mark.parametrize("policy", POLICIES)
def test_a_session(model: ColdStartRecommender, policy: str) -> None:
    session = Explorer(model, policy, scales=SCALES).session(model.item_ids.ids[:1].tolist())
    seen = list(session.taken)
    for number in range(4):
        slate = session.next(3)
        assert not set(slate) & set(seen)
        seen += slate
        if number % 2:
            session.answer(slate[:1])
    assert len(session.taken) == 3
    session.answer(())
    assert sorted(session.taken + session.refused) == sorted(seen)


def test_what_cannot_be_shown_leaves_the_slate_open(model: ColdStartRecommender) -> None:
    session = Explorer(model, "greedy").session()
    slate = session.next(3)
    with pytest.raises(ConfigError, match="items left to show"):
        session.next(5, include=slate[:1])
    assert session.refused == []
    session.answer(slate[:1])
    assert (session.taken, session.refused) == (slate[:1], slate[1:])


def test_a_re_ranker_is_refused(model: ColdStartRecommender) -> None:
    with_one = model.with_reranker(LongTailReranker(model.train_graph, strength=0.9))
    with pytest.raises(ConfigError, match="with_reranker"):
        Explorer(with_one, "greedy")


def test_a_refusal_is_heard(model: ColdStartRecommender) -> None:
    explorer = Explorer(model, UCB(0.0), scales=Scales(level=3.0, taste=3.0))
    first = explorer.next(n=10)
    after = explorer.next(refused=first[:1], n=9)
    assert after != first[1:]


def test_the_seed_draws(model: ColdStartRecommender) -> None:
    def shown(seed: int) -> list[list[int]]:
        explorer = Explorer(model, "thompson", strength=2.0, seed=seed)
        return [explorer.next(n=5) for _ in range(2)]

    assert shown(0) == shown(0)
    assert shown(0) != shown(1)
    assert shown(0)[0] != shown(0)[1]


def test_limits(model: ColdStartRecommender) -> None:
    some = model.item_ids.ids[10:14].tolist()
    explorer = Explorer(model)
    assert set(explorer.next(n=3, include=some, exclude=some[:1])) == set(some[1:])
    session = explorer.session()
    assert set(session.next(4, include=some)) == set(some)


def test_what_cannot_be_shown(model: ColdStartRecommender) -> None:
    a, b = model.item_ids.ids[:2].tolist()
    explorer = Explorer(model)
    with pytest.raises(DataError, match="both taken and refused"):
        explorer.next([a], [a, b])
    with pytest.raises(UnknownIdError, match="nowhere"):
        explorer.next(["nowhere"])
    for n in (0, 10_000):
        with pytest.raises(ConfigError, match="the items left to show"):
            explorer.next(n=n)
    with pytest.raises(ConfigError, match="must be one of"):
        Explorer(model, "boldly")
    with pytest.raises(ConfigError, match="its own strength"):
        Explorer(model, UCB(), strength=1.0)
    with pytest.raises(ConfigError, match="at most 3"):
        Explorer(model, "thompson", strength=9.0)
    with pytest.raises(DataError, match="not fitted"):
        Explorer(ColdStartRecommender())
    session = explorer.session()
    with pytest.raises(DataError, match="not among the items shown last"):
        session.answer([a])
