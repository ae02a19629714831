"""The prior that validation users ask for."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data import ColdSplit, from_frame, planted_interactions, split_cold_users
from graphmeta.data.cold_users import Support
from graphmeta.errors import DataError
from graphmeta.ranking import ColdStartRecommender
from graphmeta.ranking.item_statistics import ItemStatistics
from graphmeta.ranking.linear_part import Linear, LinearPart
from graphmeta.ranking.prior_blend import WEIGHTS, Blend, PriorBlend
from graphmeta.ranking.surest import surest

CPU = torch.device("cpu")


class Fixed:
    """Scores everybody alike."""

    def __init__(self, scores: Tensor) -> None:
        self.scores = scores

    def fit(self, train: HeteroData) -> Fixed:
        return self

    def score(self, support: Support) -> Tensor:
        return self.scores.repeat(len(support), 1)


@pytest.fixture(scope="module")
def split() -> ColdSplit:
    frame = planted_interactions(300, 60, per_user=20)
    return split_cold_users(from_frame(frame, time="time", rating="rating"), seed=0)


def test_the_priors_are_shares_of_interactions_and_of_active_users(split: ColdSplit) -> None:
    priors = {
        name: p.exp() for name, p in PriorBlend.of_graph(split.train, device=CPU).log_prior.items()
    }
    for prior in priors.values():
        assert prior.sum().item() == pytest.approx(1.0, abs=1e-5)
    user, item = split.train["user", "rates", "item"].edge_index
    count = torch.bincount(item, minlength=split.train["item"].num_nodes).float() + 1
    torch.testing.assert_close(priors["popularity"], count / count.sum())
    dense = torch.zeros(int(user.max()) + 1, len(count)).index_put((user, item), torch.ones(()))
    first = torch.linalg.svd(dense)[2][0].abs()
    wanted = 0.99 * first / first.sum() + 0.01 * priors["popularity"]
    torch.testing.assert_close(priors["active"], wanted, atol=1e-5, rtol=1e-3)


def test_a_scorer_worse_than_popularity_gets_some_and_a_perfect_one_none(split: ColdSplit) -> None:
    blend = PriorBlend.of_graph(split.train, device=CPU)
    upside_down = Fixed(-blend.log_prior["popularity"])
    chosen = blend.choose(upside_down, split.validation, [0, 3], seed=0)
    assert all(choice.weight >= 1.2 for choice in chosen.values())

    class Oracle(Fixed):
        """Knows the query of the validation users, who come in one block."""

        def score(self, support: Support) -> Tensor:
            users = split.validation
            out = torch.zeros(len(users), len(users.item_ids))
            row = torch.arange(len(users)).repeat_interleave(users.query_ptr.diff())
            out[row, users.query_index] = 50.0
            return out

    assert blend.choose(Oracle(torch.zeros(1)), split.validation, [1], seed=0)[1].weight == 0.0


def test_what_is_added_is_that_of_the_nearest_size(split: ColdSplit) -> None:
    blend = PriorBlend.of_graph(split.train, device=CPU)
    assert blend.of(3) is None
    blend.chosen = {1: Blend("active", 0.6), 5: Blend("popularity", 0.0)}
    added = blend.of(2)
    assert added is not None
    torch.testing.assert_close(added, 0.6 * blend.log_prior["active"])
    assert blend.of(9) is None


def test_a_gain_within_its_standard_error_is_none() -> None:
    none, good, lucky = Blend("popularity", 0.0), Blend("active", 0.3), Blend("active", 0.6)
    base = torch.zeros(50, dtype=torch.float64)
    noise = torch.linspace(-1, 1, 50, dtype=torch.float64)
    assert surest({none: base, lucky: base + 0.05 + noise}, none) == none
    assert surest({none: base, lucky: base + 0.15 + noise, good: base + 0.08}, none) == good
    assert surest({none: base[:1], good: base[:1] + 1}, none) == none


def test_fit_chooses_and_scores_hold_it(split: ColdSplit) -> None:
    model = ColdStartRecommender(channels=8, epochs=1, min_steps=1).fit(
        split.train, split.validation
    )
    assert set(model.blend) == {0, 1, 3, 5, 10}
    assert {choice.weight for choice in model.blend.values()} <= {0.0, *WEIGHTS}
    support = split.validation.support(3)
    prior = model.fitted.prior
    assert prior is not None
    prior.chosen = {3: Blend("active", 0.0)}
    bare = model.unadapted().score(support)
    prior.chosen = {3: Blend("active", 0.3)}
    wanted = bare + 0.3 * prior.log_prior["active"]
    torch.testing.assert_close(model.unadapted().score(support), wanted)
    assert ColdStartRecommender(channels=8, epochs=0).fit(split.train).blend == {}


def test_priors_from_elsewhere_are_chosen_from_and_carried_along(
    split: ColdSplit, tmp_path: Path
) -> None:
    n_items = int(split.train["item"].num_nodes)
    best = torch.bincount(split.validation.query_index, minlength=n_items).float() + 1
    model = ColdStartRecommender(channels=8, epochs=0, without=["linear"])
    model.fit(split.train, split.validation, items=ItemStatistics({"best": best / best.sum()}))
    assert {blend.prior for blend in model.blend.values() if blend.weight} == {"best"}
    model.save(tmp_path / "film.gm")
    loaded = ColdStartRecommender.load(tmp_path / "film.gm")
    support = split.test.support(0)
    torch.testing.assert_close(loaded.score(support), model.score(support))
    torch.testing.assert_close(model.refreshed(split.train).score(support), model.score(support))
    prior = model.fitted.prior
    assert prior is not None
    row = torch.arange(n_items).flip(0)
    row[3] = -1
    carried = prior.carried(split.train, row).log_prior["best"]
    assert carried[0] == prior.log_prior["best"][-1]
    assert carried[3] == prior.log_prior["best"].min()


def test_statistics_of_another_catalogue_are_refused(split: ColdSplit) -> None:
    n_items = int(split.train["item"].num_nodes)
    model = ColdStartRecommender(channels=8, epochs=0)
    some, none = torch.ones(n_items - 1), torch.zeros(n_items)
    part = LinearPart(torch.ones(n_items - 1, 2), torch.ones(2), Linear(1.0, 1.0, 0))
    for items, wrong in (
        (ItemStatistics({"x": some}), r"prior 'x' has shape \[59\] .*; give each of the 60 items"),
        (ItemStatistics({"x": none}), r"a least share of 0\.0; .* one above 0"),
        (ItemStatistics({}, part), "the directions are of 59 items, the training graph has 60"),
    ):
        with pytest.raises(DataError, match=wrong):
            model.fit(split.train, split.validation, items=items)
    model.fit(split.train)
    with pytest.raises(DataError, match="the directions are of 59 items"):
        model.rechosen(split.validation, items=ItemStatistics({}, part))
