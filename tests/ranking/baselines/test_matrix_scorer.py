"""What every baseline of the package must do, whatever it learns."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import HeteroData

from graphmeta.data import IdMap, Support, bipartite_graph
from graphmeta.errors import ConfigError, DataError
from graphmeta.ranking import Scorer
from graphmeta.ranking.baselines import (
    EASE,
    IALS,
    RM1,
    FewShotLinear,
    GraphFilter,
    ItemKNN,
    LightGCN,
    MultVAE,
    Popularity,
    Random,
    RankOneSVD,
    UserKNN,
)
from graphmeta.ranking.baselines.matrix_scorer import (
    MatrixScorer,
    check_at_least,
    check_positive,
    rank_unscored_by_popularity,
)
from graphmeta.ranking.search_space import SearchSpace

PERSONAL: list[type[MatrixScorer]] = [
    EASE, FewShotLinear, GraphFilter, IALS, ItemKNN, LightGCN, MultVAE, RM1, UserKNN,
]  # fmt: skip
DETERMINED = [*PERSONAL, Popularity, RankOneSVD]
every = pytest.mark.parametrize("kind", DETERMINED)
# Their first weights are drawn row by row, so that another order of the items is another draw.
DRAWN = {LightGCN, MultVAE}


def supports(n_items: int = 100) -> Support:
    item = torch.stack([torch.randperm(n_items, generator=_generator(s))[:4] for s in range(6)])
    item[0, 2:] = -1
    return Support(item)


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@every
def test_is_a_scorer_with_a_space_around_its_attributes(kind: type[MatrixScorer]) -> None:
    scorer = kind()
    assert isinstance(scorer, Scorer)
    space: SearchSpace = kind.search_space()
    built = space.build(**{name: axis.first for name, axis in space.axes.items()})
    for name, axis in space.axes.items():
        assert getattr(built, name) == axis.first
        assert hasattr(scorer, name)


@every
def test_scores_are_finite_deterministic_and_the_same_in_any_batch(
    kind: type[MatrixScorer], planted_graph: HeteroData
) -> None:
    scorer = kind().fit(planted_graph)
    scores = scorer.score(supports())
    assert scores.dtype == torch.float32
    assert scores.shape == (6, 100)
    assert scores.isfinite().all()
    assert kind().fit(planted_graph).score(supports()).equal(scores)
    torch.testing.assert_close(
        scorer.score(supports()[torch.tensor([3])]), scores[3:4], rtol=1e-4, atol=1e-5
    )
    # Padding is not an item.
    padded = Support(torch.cat([torch.full((6, 2), -1), supports().item_index], dim=1))
    torch.testing.assert_close(scorer.score(padded), scores, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", PERSONAL)
def test_scores_depend_on_the_user(kind: type[MatrixScorer], planted_graph: HeteroData) -> None:
    scores = kind().fit(planted_graph).score(supports())
    orders = {tuple(row.topk(20).indices.tolist()) for row in scores}
    assert len(orders) == 6


@every
def test_an_empty_support_gets_popularity(
    kind: type[MatrixScorer], planted_graph: HeteroData
) -> None:
    scorer = kind().fit(planted_graph)
    popularity = torch.bincount(planted_graph["user", "rates", "item"].edge_index[1]).log1p()
    item = supports().item_index
    item[2] = -1
    mixed = scorer.score(Support(item))
    torch.testing.assert_close(
        scorer.score(Support(torch.empty(3, 0, dtype=torch.long))), popularity.repeat(3, 1)
    )
    torch.testing.assert_close(mixed[2], popularity)
    torch.testing.assert_close(mixed[3], scorer.score(supports())[3], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", [kind for kind in DETERMINED if kind not in DRAWN])
def test_permuting_items_and_users_permutes_scores(
    kind: type[MatrixScorer], planted_graph: HeteroData
) -> None:
    order = torch.randperm(100, generator=_generator(1))  # old row of each new row
    place = order.argsort()
    users = torch.randperm(planted_graph["user"].num_nodes, generator=_generator(2))
    edge = planted_graph["user", "rates", "item"].edge_index
    moved = bipartite_graph(
        torch.stack([users[edge[0]], place[edge[1]]]),
        user_ids=IdMap(range(len(users))),
        item_ids=IdMap(range(100)),
    )
    item = supports().item_index
    scores = kind().fit(planted_graph).score(Support(item))
    permuted = kind().fit(moved).score(Support(place[item].where(item >= 0, -1)))
    scale = scores.abs().max()
    torch.testing.assert_close(permuted[:, place] / scale, scores / scale, rtol=1e-3, atol=1e-4)


@every
def test_bad_use(kind: type[MatrixScorer], planted_graph: HeteroData) -> None:
    with pytest.raises(DataError, match=f"{kind.__name__} is not fitted"):
        kind().score(supports())
    with pytest.raises(DataError, match="support item 100 is outside the catalogue of 100"):
        kind().fit(planted_graph).score(Support(torch.tensor([[100]])))
    nothing = bipartite_graph(
        torch.empty(2, 0, dtype=torch.long), user_ids=IdMap([1]), item_ids=IdMap([1])
    )
    with pytest.raises(DataError, match="no interaction"):
        kind().fit(nothing)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (EASE, {"ridge": 0.0}, "ridge=0.0 must be above 0"),
        (EASE, {"num_factors": 0}, "num_factors=0 must be at least 1"),
        (FewShotLinear, {"ridge": -1.0}, "ridge=-1.0 must be above 0"),
        (FewShotLinear, {"max_inputs": 0}, "max_inputs=0 must be at least 1"),
        (GraphFilter, {"num_factors": 0}, "num_factors=0 must be at least 1"),
        (GraphFilter, {"low_pass_weight": -1.0}, "low_pass_weight=-1.0 must be at least 0"),
        (IALS, {"alpha": 0.0}, "alpha=0.0 must be above 0"),
        (IALS, {"fold_in_prior": "median"}, "must be 'mean' or 'zero'"),
        (ItemKNN, {"neighbors": 0}, "neighbors=0 must be at least 1"),
        (ItemKNN, {"shrinkage": float("nan")}, "shrinkage=nan must be at least 0"),
        (RM1, {"mu": 0.0}, "mu=0.0 must be above 0"),
        (UserKNN, {"power": 0.0}, "power=0.0 must be above 0"),
    ],
)
def test_bad_hyperparameters(
    kind: type[MatrixScorer], options: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        kind(**options)


def test_limits_are_inclusive_where_they_say_so() -> None:
    check_at_least(0, a=0)
    check_positive(a=1e-9)


def test_unscored_items_follow_by_popularity() -> None:
    scores = torch.tensor([[0.0, 0.2, 0.0, 3.0], [0.0, 0.0, 0.0, 0.0]])
    ranked = rank_unscored_by_popularity(scores, torch.tensor([1.0, 0.0, 2.0, 5.0]))
    assert ranked.argsort(dim=1, descending=True).tolist() == [[3, 1, 2, 0], [3, 2, 0, 1]]
    assert ranked[0, [1, 3]].equal(scores[0, [1, 3]])


def test_random_scores_by_seed_and_support(planted_graph: HeteroData) -> None:
    scorer = Random(seed=1).fit(planted_graph)
    scores = scorer.score(supports())
    assert scores.min() >= 0
    assert scores.max() < 1
    assert abs(scores.mean() - 0.5) < 0.05
    assert abs(scores.std() - 12**-0.5) < 0.02
    assert torch.corrcoef(scores).fill_diagonal_(0).abs().max() < 0.4
    # The order within the support and the batch do not matter, the seed does.
    turned = Support(supports().item_index.flip(1).flip(0))
    assert scorer.score(turned).flip(0).equal(scores)
    assert not Random(seed=2).fit(planted_graph).score(supports()).equal(scores)
    # Users without a support do not share one order.
    empty = scorer.score(Support(torch.empty(5, 0, dtype=torch.long)))
    assert torch.corrcoef(empty).fill_diagonal_(0).abs().max() < 0.4
    with pytest.raises(DataError, match="Random is not fitted"):
        Random().score(supports())
