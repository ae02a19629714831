"""A user's state ranks as the history did, is small, and belongs to its model."""

import pytest
import torch
from torch_geometric.data import HeteroData

from graphmeta.data import Support, from_frame, planted_interactions
from graphmeta.errors import ConfigError, DataError, UnknownIdError
from graphmeta.meta import RidgeHead
from graphmeta.ranking import ColdStartRecommender, UserState
from graphmeta.ranking.user_state import appended


@pytest.fixture(scope="module")
def graph() -> HeteroData:
    graph = from_frame(planted_interactions(), rating="rating", time="time")
    graph["user"].x = torch.linspace(-1, 1, 200).view(-1, 1)
    return graph


@pytest.fixture(scope="module")
def model(graph: HeteroData) -> ColdStartRecommender:
    return ColdStartRecommender(channels=8, epochs=1, min_steps=1).fit(graph)


@pytest.fixture(scope="module")
def ids(graph: HeteroData) -> list[str]:
    return list(graph["item"].id_map.ids)


@pytest.mark.parametrize("k", [0, 1, 3])
def test_a_state_ranks_as_its_history(model: ColdStartRecommender, ids: list[str], k: int) -> None:
    state = model.adapt(ids[:k])
    assert len(state) == k
    assert bool(state.weights) == (k == 3)
    assert model.recommend(state) == model.recommend(ids[:k])
    read = UserState.from_bytes(state.to_bytes())
    assert (read.source, read.model) == (state.source, state.model)
    assert model.recommend(read) == model.recommend(ids[:k])
    assert state.n_bytes == len(state.to_bytes())
    # No item embedding, no score of the catalogue: the user's own numbers and a header.
    own = sum(4 * weight.numel() for weight in state.weights.values())
    assert state.n_bytes < own + 8 * k + 1600


def test_a_state_keeps_ratings_times_and_features(
    model: ColdStartRecommender, ids: list[str]
) -> None:
    given = {
        "ratings": [5.0, 1.0, 3.0],
        "times": [30.0, 20.0, 10.0],
        "user_x": torch.tensor([0.5]),
    }
    state = UserState.from_bytes(model.adapt(ids[:3], **given).to_bytes())
    assert model.recommend(state) == model.recommend(ids[:3], **given)
    assert model.recommend(state) != model.recommend(ids[:3])


def test_updating_is_as_if_all_had_come_at_once(
    model: ColdStartRecommender, ids: list[str]
) -> None:
    state = model.update(model.adapt(ids[:2]), [ids[1], *ids[3:5]])
    assert model.recommend(state) == model.recommend([*ids[:2], *ids[3:5]])
    assert len(model.update(model.adapt([]), ids[:3])) == 3
    assert model.update(state, []).support.item_index.tolist() == state.support.item_index.tolist()

    late = model.adapt(ids[:2], times=[50.0, 60.0], ratings=[1.0, 2.0])
    both = model.update(late, ids[1:4], times=[10.0, 20.0, 55.0], ratings=[3.0, 4.0, 5.0])
    at_once = model.recommend(
        [*ids[:2], *ids[1:4]], times=[50, 60, 10, 20, 55], ratings=[1, 2, 3, 4, 5]
    )
    assert model.recommend(both) == at_once
    assert len(late) == 2


def test_other_learners_have_states_too(graph: HeteroData, ids: list[str]) -> None:
    encoder = ColdStartRecommender(channels=8, epochs=0).fit(graph).fitted.learner.encoder
    ridge = ColdStartRecommender(RidgeHead(encoder), channels=8, epochs=0).fit(graph)
    state = ridge.adapt(ids[:1])
    assert {name: weight.shape for name, weight in state.weights.items()} == {"user": (1, 8)}
    assert ridge.recommend(state) == ridge.recommend(ids[:1])


def test_a_state_belongs_to_its_model(
    model: ColdStartRecommender, graph: HeteroData, ids: list[str]
) -> None:
    state = model.adapt(ids[:3])
    assert model.with_niche(0.5).recommend(state) == model.with_niche(0.5).recommend(ids[:3])
    others = (
        model.unadapted(),
        ColdStartRecommender(channels=8, epochs=0, seed=1).fit(graph),
    )
    for other in others:
        with pytest.raises(DataError, match="made by another model; adapt from the user's"):
            other.recommend(state)
        with pytest.raises(DataError, match="made by another model"):
            other.update(state, ids[:1])


def test_bad_states(model: ColdStartRecommender, ids: list[str]) -> None:
    state = model.adapt(ids[:3], times=[1.0, 2.0, 3.0])
    with pytest.raises(ConfigError, match="a state holds its ratings, times and features"):
        model.recommend(state, ratings=[1, 2, 3])
    with pytest.raises(UnknownIdError, match="history: 1 of 1"):
        model.update(state, ["no"], times=[4.0])
    with pytest.raises(DataError, match="has times and the new interactions have none"):
        model.update(state, ids[3:4])
    with pytest.raises(DataError, match="has no ratings and the new interactions have some"):
        model.update(state, ids[3:4], times=[4.0], ratings=[1.0])
    good = state.to_bytes()
    later = good.replace(b'"format":"1"', b'"format":"9"')
    with pytest.raises(DataError, match="format 9; this release reads up to 1: upgrade"):
        UserState.from_bytes(later)
    for bad in (b"", b"pickle", good[:-9], good.replace(b"adapted", b"adopted")):
        with pytest.raises(DataError, match="the state is damaged or none"):
            UserState.from_bytes(bad)


def test_appending_keeps_a_users_features() -> None:
    known = Support(torch.tensor([[4, 2]]), user_x=torch.tensor([[0.5]]))
    found = appended(known, Support(torch.tensor([[2, 7]])))
    assert found.item_index.tolist() == [[4, 2, 7]]
    assert torch.equal(found.user_x, known.user_x)  # type: ignore[arg-type]
