"""Links in the caller's ids: recommending, keeping a state, saving and loading."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from graphmeta.data import (
    ColdSplit,
    Support,
    from_frame,
    planted_interactions,
    split_cold_users,
    with_links,
)
from graphmeta.data.links import TRUSTS
from graphmeta.drift import OlderModel, carried_over
from graphmeta.encoders.relation import RelationEncoder
from graphmeta.errors import ConfigError, DataError, UnknownIdError
from graphmeta.explain import explain_ranking
from graphmeta.ranking import ColdStartRecommender, UserState, evaluate

SETTINGS = {"channels": 4, "epochs": 1, "min_steps": 15, "num_neighbors": (2, 2), "seed": 0}


@pytest.fixture(scope="module")
def split() -> ColdSplit:
    """Users like what the users of their taste like, to whom they are linked."""
    table = planted_interactions(skew=0.3)
    users = np.arange(200).repeat(3)
    friends = (users + np.tile([4, 8, 12], 200)) % 200
    links = pd.DataFrame({"user": users, "friend": friends}).map("u{}".format)
    return split_cold_users(with_links(from_frame(table), links), seed=0)


@pytest.fixture(scope="module")
def model(split: ColdSplit) -> ColdStartRecommender:
    return ColdStartRecommender(**SETTINGS).fit(split.train, split.validation)


def _figure(model: ColdStartRecommender, split: ColdSplit, *, linked: bool) -> float:
    first = split.test.first if linked else replace(split.test.first, links=None)
    users = replace(split.test, first=first)
    return float(evaluate(model, users, k=(0,)).per_user["ndcg@10"].mean())


def test_links_tell_who_has_shown_nothing(model: ColdStartRecommender, split: ColdSplit) -> None:
    assert _figure(model, split, linked=True) > _figure(model, split, linked=False) + 0.05


def test_the_encoder_has_no_weights_for_links(model: ColdStartRecommender) -> None:
    encoder = model.fitted.learner.encoder
    assert isinstance(encoder, RelationEncoder)
    assert TRUSTS not in encoder.edge_types


def test_recommending_by_links(model: ColdStartRecommender, split: ColdSplit) -> None:
    ids = split.train["user"].id_map.ids
    friends, rows = [ids[7], ids[2], ids[7]], [2, 7]
    for history in ([], ["i3", "i5"]):
        ranking = model.recommend(history, 5, links=friends)
        items = model.item_ids.to_index(history).view(1, -1)
        scores = model.score(Support(items, links=torch.tensor([rows])))[0]
        scores[items[0]] = -torch.inf
        assert list(ranking.items) == model.item_ids.to_ids(scores.topk(5).indices).tolist()
        table = explain_ranking(model, history, 5, links=friends).parts
        assert bool(table["social"].any())
    assert model.recommend([], 5, links=[]).items == model.recommend([], 5).items


def test_a_table_of_users_with_links(model: ColdStartRecommender, split: ColdSplit) -> None:
    ids = split.train["user"].id_map.ids
    shown = pd.DataFrame({"who": ["x", "y", "y", "z"], "item": ["i3", "i4", "i5", "i6"]})
    links = pd.DataFrame({"who": ["y", "y", "x", "w"], "to": [ids[0], ids[3], ids[9], ids[1]]})
    found = model.recommend_table(shown, 4, user="who", links=links, friend="to")
    for who, history, friends in (
        ("x", ["i3"], [ids[9]]),
        ("y", ["i4", "i5"], [ids[0], ids[3]]),
        ("z", ["i6"], []),
    ):
        wanted = model.recommend(history, 4, links=friends)
        assert found[found["user"] == who]["item"].tolist() == list(wanted.items)


def test_a_state_knows_the_links(
    model: ColdStartRecommender, split: ColdSplit, tmp_path: Path
) -> None:
    friends = split.train["user"].id_map.ids[:3].tolist()
    state = UserState.from_bytes(model.adapt(["i3"], links=friends).to_bytes())
    assert model.recommend(state) == model.recommend(["i3"], links=friends)
    later = model.update(state, ["i7"])
    assert model.recommend(later) == model.recommend(["i3", "i7"], links=friends)
    with pytest.raises(ConfigError, match="and its links; leave them out"):
        model.recommend(state, links=friends)


def test_loaded_it_ranks_as_before(
    model: ColdStartRecommender, split: ColdSplit, tmp_path: Path
) -> None:
    model.save(tmp_path / "social.gm")
    loaded = ColdStartRecommender.load(tmp_path / "social.gm")
    friends = split.train["user"].id_map.ids[:3].tolist()
    for history in ([], ["i3", "i5"]):
        assert loaded.recommend(history, links=friends) == model.recommend(history, links=friends)
    assert loaded.fingerprint == model.fingerprint
    assert torch.equal(loaded.train_graph[TRUSTS].edge_index, split.train[TRUSTS].edge_index)


def test_on_another_graph_links_are_to_the_same_people(
    model: ColdStartRecommender, split: ColdSplit
) -> None:
    ids = split.train["user"].id_map.ids
    backwards = from_frame(planted_interactions()[::-1])
    pairs = pd.DataFrame({"user": ids, "friend": np.roll(ids, 1)})
    other = model.refreshed(with_links(backwards, pairs))
    state = model.adapt(["i3"], links=ids[:2].tolist())
    with pytest.raises(DataError, match="another model"):
        other.recommend(state)
    moved = carried_over(state, model, other)
    assert other.recommend(moved) == other.recommend(["i3"], links=ids[:2].tolist())
    old = OlderModel(model, other.item_ids)
    support = Support(torch.tensor([[0]]), links=torch.tensor([[10**6]]))
    assert torch.equal(old.score(support), old.score(replace(support, links=None)))


def test_what_cannot_be(model: ColdStartRecommender, split: ColdSplit) -> None:
    with pytest.raises(UnknownIdError, match="links: 1 of 1 ids are unknown"):
        model.recommend([], links=["nobody"])
    dropped = model.recommend([], 3, links=["nobody"], on_unknown="drop")
    assert dropped.items == model.recommend([], 3).items
    with pytest.raises(DataError, match="links is 'u1'; give a list of user ids"):
        model.recommend([], links="u1")
    with pytest.raises(DataError, match="a link to user row 999 is outside the"):
        model.score(Support(torch.tensor([[1]]), links=torch.tensor([[999]])))
    plain = ColdStartRecommender(channels=2, epochs=0).fit(from_frame(planted_interactions()))
    with pytest.raises(DataError, match="trained on a graph without any; give the graph its links"):
        plain.recommend([], links=["u1"])
    table = pd.DataFrame({"user": ["u1"], "item": ["i1"], "friend": ["u2"]})
    with pytest.raises(DataError, match="trained on a graph without any"):
        plain.recommend_table(table, links=table)
