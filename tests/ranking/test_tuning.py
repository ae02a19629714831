from __future__ import annotations

import math
from typing import Any, Self

import pytest
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data import ColdSplit, Support, split_cold_users
from graphmeta.errors import ConfigError, DataError
from graphmeta.ranking.baselines import Popularity, UserKNN
from graphmeta.ranking.search_space import Axis, SearchSpace
from graphmeta.ranking.tuning import tune
from graphmeta.tasks.episode import RATES


class Planted:
    """Ranks with an error that grows with the distance from a planted optimum."""

    n_fits = 0

    def __init__(self, *, width: float = 1.0, size: int = 1, kind: str = "bad") -> None:
        self.width, self.size, self.kind = width, size, kind

    def fit(self, train: HeteroData) -> Self:
        type(self).n_fits += 1
        self.popularity = torch.bincount(train["user", "rates", "item"].edge_index[1]).float()
        return self

    def score(self, support: Support) -> Tensor:
        k = support.item_index.size(1)
        # The optimum is width 10^(k/2), size 40, kind "good". Each step away from it puts one
        # more of the least popular items in front of the popular ones.
        error = abs(math.log10(self.width) - k / 2) + abs(self.size - 40) / 10
        error += self.kind != "good"
        scores = self.popularity.clone()
        scores[self.popularity.argsort(stable=True)[: round(error)]] += 1000
        return scores.repeat(len(support), 1)


@pytest.fixture
def split(planted_graph: HeteroData) -> ColdSplit:
    return split_cold_users(planted_graph, seed=0, k_max=5)


def planted_space(**axes: Axis) -> SearchSpace:
    return SearchSpace(
        Planted,
        fit_time={"size": axes.get("size", Axis((20, 30, 40, 50), extend="linear"))},
        score_time={
            "width": axes.get("width", Axis((1.0, 10.0, 100.0), extend="geometric")),
            "kind": Axis(("bad", "good")),
        },
    )


def test_finds_the_planted_optimum_of_each_k(split: ColdSplit) -> None:
    Planted.n_fits = 0
    tuned = tune(planted_space(), split.train, split.validation, k=(0, 2, 4))
    report = tuned.report.set_index("k")
    assert report.loc[2, "width"] == 10.0
    # The optimum of k = 4 is the end of the grid: it was extended and is inside now.
    assert report.loc[4, "width"] == 100.0
    assert report.loc[[2, 4], "size"].tolist() == [40, 40]
    assert report.loc[[2, 4], "kind"].tolist() == ["good", "good"]
    assert report["at_edge"].tolist() == ["", "", ""]
    # One fit for each size, whatever the number of k and of score-time values.
    assert Planted.n_fits == 4
    assert report.loc[0, "n_tried"] == 4
    assert tuned.by_k[4].width == 100.0
    assert tuned.by_k[2].width == 10.0
    assert tuned.by_k[2] is not tuned.by_k[4]
    assert tuned.by_k[2].popularity is tuned.by_k[4].popularity


@pytest.mark.parametrize(("is_timed", "n_tried"), [(False, 1), (True, 2)])
def test_an_axis_of_times_is_walked_only_where_there_are_times(
    split: ColdSplit, is_timed: bool, n_tried: int
) -> None:
    train = split.train.clone()
    if not is_timed:
        del train[RATES].time
    space = SearchSpace(
        Planted, fit_time={"kind": Axis(("bad", "good"), start="bad", needs_times=True)}
    )
    report = tune(space, train, split.validation, k=(2,)).report
    assert report["n_tried"].tolist() == [n_tried]
    assert report["kind"].tolist() == ["good" if is_timed else "bad"]


def test_extends_until_the_optimum_lies_inside(split: ColdSplit) -> None:
    space = planted_space(
        width=Axis((0.001, 0.01), extend="geometric"), size=Axis((70, 80), extend="linear")
    )
    report = tune(space, split.train, split.validation, k=(2,)).report
    assert report["width"].tolist() == [10.0]
    assert report["size"].tolist() == [40]
    assert report["at_edge"].tolist() == [""]


def test_reports_an_edge_that_it_may_not_pass(split: ColdSplit) -> None:
    axis = Axis((0.001, 0.01), extend="geometric", high=1.0)
    report = tune(planted_space(width=axis), split.train, split.validation, k=(2,)).report
    assert report["width"].tolist() == [1.0]
    assert report["at_edge"].tolist() == ["width"]


def test_reports_an_edge_after_the_last_extension(
    split: ColdSplit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("graphmeta.ranking.tuning.MAX_EXTENSIONS", 2)
    axis = Axis((0.001, 0.01), extend="geometric")
    report = tune(planted_space(width=axis), split.train, split.validation, k=(2, 0)).report
    assert report["width"].tolist()[0] == 1.0
    assert report["at_edge"].tolist() == ["width", ""]


def test_the_tuned_scorer_picks_by_support_size(split: ColdSplit) -> None:
    tuned = tune(planted_space(), split.train, split.validation, k=(0, 2, 4))
    for k, nearest in ((0, 0), (1, 0), (2, 2), (3, 2), (4, 4), (5, 4)):
        support = split.test.support(k)
        assert tuned.score(support).equal(tuned.by_k[nearest].score(support))
    before = tuned.by_k[4]
    refitted = tuned.fit(split.train)
    assert refitted.by_k[4] is not before
    assert refitted.score(split.test.support(4)).equal(before.score(split.test.support(4)))


def test_same_seed_same_choice_on_a_part_of_the_users(split: ColdSplit) -> None:
    space = UserKNN.search_space()
    reports = [
        tune(space, split.train, split.validation, k=(1, 3), max_users=5).report for _ in range(2)
    ]
    assert reports[0].equals(reports[1])
    whole = tune(space, split.train, split.validation, k=(1, 3)).report
    assert whole["ndcg@10"].tolist() != reports[0]["ndcg@10"].tolist()


def test_a_space_of_one_point(split: ColdSplit) -> None:
    tuned = tune(Popularity.search_space(), split.train, split.validation, k=(0, 1))
    assert tuned.report["n_tried"].tolist() == [1, 1]
    assert tuned.report["ndcg@10"].nunique() == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": ()}, "must name each support size once"),
        ({"k": (1, 1)}, "must name each support size once"),
        ({"k": (6,)}, r"k=6 is outside 0\.\.5"),
        ({"metric": "auc", "k": (1,)}, "metric='auc' is unknown"),
        ({"max_users": 0, "k": (1,)}, "max_users=0 must be at least 1"),
    ],
)
def test_bad_options(split: ColdSplit, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        tune(planted_space(), split.train, split.validation, **options)


def test_no_validation_user(split: ColdSplit) -> None:
    nobody = split.validation.select(torch.arange(0))
    with pytest.raises(DataError, match="no validation user"):
        tune(planted_space(), split.train, nobody, k=(1,))
