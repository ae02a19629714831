"""The linear part of the scores of users who have shown more than training draws."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data import ColdSplit, from_frame, planted_interactions, split_cold_users
from graphmeta.data.cold_users import Support
from graphmeta.data.warm_split import shown_more
from graphmeta.errors import ConfigError
from graphmeta.explain import explain_ranking
from graphmeta.ranking import ColdStartRecommender
from graphmeta.ranking.baselines import EASE
from graphmeta.ranking.item_statistics import ItemStatistics
from graphmeta.ranking.linear_part import Linear, LinearPart, surest_linear

CPU = torch.device("cpu")


class Scores:
    """Scores by a function of the support."""

    def __init__(self, n_items: int, factor: float, of: LinearPart | None = None) -> None:
        self.n_items, self.factor, self.of = n_items, factor, of

    def fit(self, train: HeteroData) -> Scores:
        return self

    def score(self, support: Support) -> Tensor:
        if self.of is None:
            return torch.zeros(len(support), self.n_items)
        return self.factor * self.of(support)


@pytest.fixture(scope="module")
def split() -> ColdSplit:
    frame = planted_interactions(300, 120, per_user=40)
    return split_cold_users(from_frame(frame, time="time"), seed=0)


@pytest.fixture(scope="module")
def model(split: ColdSplit) -> ColdStartRecommender:
    """Trained hardly at all, so that a regression on many items knows more."""
    model = ColdStartRecommender(channels=8, epochs=1, min_steps=1, patience=1)
    model.fit(split.train, split.validation)
    assert model.linear is not None
    return model


def part_of(split: ColdSplit, *, above: int = 10, weight: float = 1.0) -> LinearPart:
    return LinearPart.of_graph(split.train, Linear(30.0, weight, above), device=CPU)


def items(split: ColdSplit, size: int) -> Support:
    """Return what test users show: their first ten and what follows."""
    query = torch.stack([split.test.query(user)[:20] for user in range(len(split.test))])
    return Support(torch.cat([split.test.first.item_index, query], dim=1)[:, :size])


def test_it_is_ease_for_items_not_shown(split: ColdSplit) -> None:
    support = items(split, 20)
    found = part_of(split, above=2, weight=3.0)(support)
    wanted = 3 * EASE(ridge=30.0).fit(split.train).score(support)
    is_shown = support.to_dense(found.size(1)).bool()
    torch.testing.assert_close(found[~is_shown], wanted[~is_shown], atol=1e-4, rtol=1e-4)


def test_another_ridge_shares_the_directions(split: ColdSplit) -> None:
    part = part_of(split)
    other = part.with_chosen(Linear(3.0, 1.0, 10))
    assert other.vector.data_ptr() == part.vector.data_ptr()
    wanted = LinearPart.of_graph(split.train, Linear(3.0, 1.0, 10), device=CPU)
    assert other(items(split, 20)).equal(wanted(items(split, 20)))
    assert other.chosen == wanted.chosen


def test_the_weight_grows_with_the_support(split: ColdSplit) -> None:
    support = items(split, 20)
    whole = part_of(split, above=2)(support)
    for above, share in ((20, 0.0), (10, 0.30103), (5, 0.60206)):
        found = part_of(split, above=above)(support)
        torch.testing.assert_close(found, share * whole, atol=1e-5, rtol=1e-4)
    # Each user's own, padded or not, and interactions count by their weight.
    short = replace(support, item_index=support.item_index.clone())
    short.item_index[1:, 12:] = -1
    part = part_of(split)
    mixed = part(short)
    torch.testing.assert_close(mixed[0], part(support)[0])
    torch.testing.assert_close(mixed[1:], part(items(split, 12))[1:])
    halved = replace(support, weight=torch.full(support.item_index.shape, 0.5))
    torch.testing.assert_close(part(halved), 0.5 * part(support))


def test_it_may_be_whole_from_the_first_item_on(split: ColdSplit) -> None:
    one = part_of(split, above=0)(items(split, 1))
    torch.testing.assert_close(10 * one, part_of(split, above=0, weight=10.0)(items(split, 1)))
    assert one.abs().max() > 0
    ten = part_of(split, above=1)(items(split, 10))  # There it is whole as well.
    torch.testing.assert_close(part_of(split, above=0)(items(split, 10)), ten)


def test_interactions_may_be_weighed_by_item(split: ColdSplit, tmp_path: Path) -> None:
    part, support = part_of(split, above=0), items(split, 5)
    scale = torch.linspace(0.5, 2.0, len(part.vector))
    scaled = LinearPart(part.vector, part.squared, part.chosen, scale=scale)
    weighed = replace(support, weight=scale[support.item_index])
    torch.testing.assert_close(scaled(support), part(weighed) / scale)
    assert scaled.with_chosen(part.chosen)(support).equal(scaled(support))
    row = torch.arange(len(scale)).flip(0)
    flipped = Support(len(scale) - 1 - support.item_index)
    torch.testing.assert_close(scaled.carried(row)(flipped), scaled(support).flip(1))
    model = ColdStartRecommender(channels=8, epochs=0).fit(
        split.train, split.validation, items=ItemStatistics({}, scaled)
    )
    model._fitted = replace(model.fitted, linear=scaled)
    model.save(tmp_path / "film.gm")
    loaded = ColdStartRecommender.load(tmp_path / "film.gm")
    assert loaded.score(support).equal(model.score(support))


def test_validation_users_choose_it_where_it_surely_helps(split: ColdSplit) -> None:
    known = shown_more(split.validation, above=10)
    assert known is not None
    n_items = split.train["item"].num_nodes
    ignorant = Scores(n_items, 0.0)
    part, size = part_of(split), [known.k_max]
    found = surest_linear(ignorant, known, size, part, seed=0)
    assert found is not None
    assert found.weight > 0
    assert found.above == 10
    # Added to what it says already it changes no order, and nothing is chosen.
    sure = Scores(n_items, 1e9, part.with_chosen(Linear(1e4, 1.0, 10)))
    assert surest_linear(sure, known, size, part, seed=0) is None


def test_few_shots_are_scored_as_without(model: ColdStartRecommender, split: ColdSplit) -> None:
    without = model._with(replace(model.fitted, linear=None))
    for size in (0, 1, 10):
        support = items(split, size)
        assert model.score(support).equal(without.score(support))
    support = items(split, 25)
    part = model.fitted.linear
    assert part is not None
    torch.testing.assert_close(model.score(support), without.score(support) + part(support))
    # And so are users of both kinds side by side, and one by one.
    mixed = replace(support, item_index=support.item_index.clone())
    mixed.item_index[::2, 5:] = -1
    found = model.score(mixed)
    torch.testing.assert_close(found[::2], without.score(items(split, 5))[::2])
    torch.testing.assert_close(found[1::2], model.score(support)[1::2])


def test_old_interactions_count_for_less(model: ColdStartRecommender, split: ColdSplit) -> None:
    fading = model.with_half_life(5.0)
    without = fading._with(replace(fading.fitted, linear=None))
    support, part = items(split, 20), model.fitted.linear
    assert part is not None
    weight = 0.5 ** (torch.arange(19, -1, -1) / 5.0).expand(support.item_index.shape)
    added = part(replace(support, weight=weight))
    torch.testing.assert_close(fading.score(support), without.score(support) + added)
    best = fading.fitted.best(support, k=3, allowed=torch.ones(added.size(1), dtype=torch.bool))[1]
    scores = fading.score(support).masked_fill(support.to_dense(added.size(1)).bool(), -torch.inf)
    torch.testing.assert_close(best, scores.topk(3).values)


def test_it_is_saved_and_carried_along(
    model: ColdStartRecommender, split: ColdSplit, tmp_path: Path
) -> None:
    support = items(split, 20)
    model.save(tmp_path / "film.gm")
    loaded = ColdStartRecommender.load(tmp_path / "film.gm")
    assert loaded.linear == model.linear
    assert loaded.score(support).equal(model.score(support))
    torch.testing.assert_close(model.refreshed(split.train).score(support), model.score(support))
    part = part_of(split, above=1)
    carried = part.carried(torch.tensor([5, -1, 0]))
    of_known = carried(Support(torch.zeros(1, 10, dtype=torch.long)))
    wanted = part(Support(torch.full((1, 10), 5)))[:, [5, 0]]
    torch.testing.assert_close(of_known[:, [0, 2]], wanted)
    assert of_known[0, 1] == 0  # Of a new item it says nothing, nor does a new one say anything.
    assert not carried(Support(torch.ones(1, 10, dtype=torch.long))).any()


def test_it_is_a_part_of_the_explanation(model: ColdStartRecommender, split: ColdSplit) -> None:
    ids = model.item_ids
    history = ids.to_ids(items(split, 20).item_index[0]).tolist()
    parts = explain_ranking(model, history, 3).parts.set_index("item")
    assert parts["linear"].abs().max() > 0
    names = [name for name in parts if name != "score"]
    assert parts[names].sum(axis=1).to_numpy() == pytest.approx(parts["score"], abs=1e-3)
    assert "linear" not in explain_ranking(model, history[:5], 3).parts
    whole = part_of(split, above=0)
    model = model._with(replace(model.fitted, linear=whole))
    assert "linear" in explain_ranking(model, history[:1], 3).parts


def test_it_can_be_left_out(split: ColdSplit) -> None:
    model = ColdStartRecommender(channels=8, epochs=1, min_steps=1, without=["linear"])
    assert model.fit(split.train, split.validation).linear is None
    # Neither without validation users, nor where nobody is known so well.
    model = ColdStartRecommender(channels=8, epochs=1, min_steps=1).fit(split.train)
    assert model.linear is None
    short = split_cold_users(from_frame(planted_interactions(per_user=11)), seed=0, k_max=5)
    model = ColdStartRecommender(channels=8, epochs=0).fit(short.train, short.validation)
    assert model.linear is None


@pytest.mark.parametrize("above", [3, 10, 20])
def test_held_out_users_show_more(split: ColdSplit, above: int) -> None:
    users = split.validation
    more = shown_more(users, above=above, seed=3)
    assert more is not None
    row = {user: i for i, user in enumerate(users.user_ids.ids)}
    sizes = more.first.size
    for u, user in enumerate(more.user_ids.ids):
        history = torch.cat([users.first.item_index[row[user]], users.query(row[user])])
        size = int(sizes[u])
        shown = more.first.item_index[u]
        assert torch.cat([shown[:size], more.query(u)]).equal(history)
        assert (shown[size:] == -1).all()
        assert max(users.k_max, above + 1) <= size <= 0.8 * len(history)
    assert len(sizes.unique()) > 5
    again = shown_more(users, above=above, seed=3)
    assert again is not None
    assert again.first.item_index.equal(more.first.item_index)


def test_nobody_is_known_so_well(split: ColdSplit) -> None:
    assert shown_more(split.validation, above=200) is None
    with pytest.raises(ConfigError, match="share"):
        shown_more(split.validation, above=10, share=1.0)
