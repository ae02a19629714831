"""What an attack does, on scorers whose answer is known."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data import ColdSplit, split_cold_users
from graphmeta.data.cold_users import Support
from graphmeta.data.fake_clicks import own_items
from graphmeta.errors import ConfigError
from graphmeta.experiments.attacked import N_TRIED, Attack, _clicked, measured

TARGETS = torch.tensor([7, 3])


class Echo:
    """Ranks the items next to those shown; remembers how much it was shown."""

    def __init__(self, bonus: Tensor) -> None:
        self.bonus = bonus
        self.sizes: list[int] = []

    def fit(self, train: HeteroData) -> Echo:
        return self

    def score(self, support: Support) -> Tensor:
        self.sizes.append(support.item_index.size(1))
        return support.to_dense(len(self.bonus)).roll(1, dims=1) + self.bonus


@pytest.fixture
def split(planted_graph: HeteroData) -> ColdSplit:
    return split_cold_users(planted_graph, seed=0)


def echo(split: ColdSplit, pushed: float = 0.0) -> Echo:
    bonus = torch.linspace(0, 0.1, len(split.test.item_ids))
    bonus[TARGETS] += pushed
    return Echo(bonus)


def test_hits_are_of_users_whose_ten_best_hold_a_target(split: ColdSplit) -> None:
    shown_both = torch.isin(split.test.first.item_index, TARGETS).sum(1) == len(TARGETS)
    pushed = measured(echo(split, pushed=9.0), split.test, TARGETS, k=3)
    assert pushed["hit"].tolist() == (~shown_both).double().tolist()
    assert pushed["user"].tolist() == split.test.user_ids.ids.tolist()
    last = measured(echo(split, pushed=-9.0), split.test, TARGETS, k=3)
    assert last["hit"].sum() == 0


@pytest.mark.parametrize("click", ["random", "popular", "target", "worst"])
def test_a_click_is_one_item_more(split: ColdSplit, click: str) -> None:
    scorer = echo(split)
    found = measured(scorer, split.test, TARGETS, k=3, click=click)
    assert set(scorer.sizes) == {4}
    assert len(scorer.sizes) == (N_TRIED if click == "worst" else 1)
    assert len(found) == len(split.test)
    clicked = _clicked(split.test, TARGETS, click, 0)
    assert not own_items(split.test).gather(1, clicked).any()
    if click == "target":
        has_both = own_items(split.test)[:, TARGETS].all(1)
        assert torch.equal(torch.isin(clicked, TARGETS).flatten(), ~has_both)
        assert not has_both.all()


def test_the_worst_click_is_no_better_than_any_that_was_tried(split: ColdSplit) -> None:
    scorer = echo(split)
    worst = measured(scorer, split.test, TARGETS, k=3, click="worst")
    clean = measured(scorer, split.test, TARGETS, k=3)
    random = measured(scorer, split.test, TARGETS, k=3, click="random")
    assert worst["ndcg@10"].mean() < random["ndcg@10"].mean() <= clean["ndcg@10"].mean() + 0.05


def test_an_attack_is_read_as_it_is_written(split: ColdSplit) -> None:
    attack = Attack.read("bandwagon:0.2")
    assert attack == Attack("bandwagon", 0.2)
    assert str(attack) == "bandwagon:0.2"
    assert str(Attack("random", 0.0)) == "clean"
    assert Attack("random", 0.0).on(split.train, TARGETS, profile_size=3, seed=0) is split.train
    n_real = split.train["user"].num_nodes
    attacked = attack.on(split.train, TARGETS, profile_size=3, seed=0)
    assert attacked["user"].num_nodes == n_real + -(-n_real // 5)
    for text in ("bandwagon", "bandwagon:many", "loud:0.2", "random:0", "random:2"):
        with pytest.raises(ConfigError, match="must be written as in"):
            Attack.read(text)
