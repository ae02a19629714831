"""Lists drawn with known probabilities."""

from itertools import permutations

import pytest
import torch
from scipy.stats import chisquare

from graphmeta.errors import ConfigError, NonFiniteError
from graphmeta.live import SoftmaxPolicy

SCORES = torch.tensor([[0.0, 1.0, 2.0, 3.0]])


def test_by_hand() -> None:
    scores = torch.log(torch.tensor([[1.0, 2.0, 5.0, 2.0]]))
    plain = SoftmaxPolicy().probabilities(scores)
    torch.testing.assert_close(plain, torch.tensor([[0.1, 0.2, 0.5, 0.2]]).double())
    mixed = SoftmaxPolicy(uniform=0.4).probabilities(scores, torch.tensor([[2, -1]]))
    expected = 0.6 * torch.tensor([0.2, 0.4, 0.0, 0.4]) + 0.4 * torch.tensor([1, 1, 0, 1]) / 3
    torch.testing.assert_close(mixed, expected.double().unsqueeze(0))
    # 0.5 first, then 0.1 of the 0.5 that are left, then 0.2 of 0.4.
    chance = SoftmaxPolicy().propensity(scores, torch.tensor([[2, 0, 1]]))
    torch.testing.assert_close(chance, torch.tensor([0.5 * 0.2 * 0.5]).double())
    hot = SoftmaxPolicy(temperature=0.5).probabilities(scores)
    torch.testing.assert_close(hot, torch.tensor([[1.0, 4.0, 25.0, 4.0]]).double() / 34)


def test_all_lists_together_are_certain() -> None:
    policy = SoftmaxPolicy(temperature=0.7, uniform=0.1)
    lists = torch.tensor(list(permutations(range(4), 2)))
    chances = policy.propensity(SCORES.repeat(len(lists), 1), lists)
    torch.testing.assert_close(chances.sum(), torch.tensor(1.0).double())
    twice = policy.propensity(SCORES, torch.tensor([[1, 1]]))
    assert float(twice) == 0


def test_lists_come_as_often_as_they_say() -> None:
    policy = SoftmaxPolicy(temperature=1.5, uniform=0.2)
    n = 20_000
    drawn = policy.draw(
        SCORES.repeat(n, 1),
        torch.tensor([[0]]).repeat(n, 1),
        k=2,
        generator=torch.Generator().manual_seed(0),
    )
    lists = torch.tensor(list(permutations((1, 2, 3), 2)))
    chances = policy.propensity(
        SCORES.repeat(len(lists), 1), lists, torch.zeros(len(lists), 1, dtype=torch.long)
    )
    seen = [(drawn.items == one).all(dim=1).sum().item() for one in lists]
    assert sum(seen) == n
    assert chisquare(seen, (chances * n).numpy()).pvalue > 0.001
    first = policy.probabilities(SCORES, torch.tensor([[0]]))[0]
    torch.testing.assert_close(drawn.propensity, first[drawn.items[:, 0]])
    for one, chance in zip(lists, chances, strict=True):
        where = (drawn.items == one).all(dim=1)
        torch.testing.assert_close(drawn.list_propensity[where], chance.repeat(int(where.sum())))


def test_the_inputs_are_left_as_they_are() -> None:
    scores = SCORES.clone()
    policy = SoftmaxPolicy()
    a = policy.draw(scores, torch.tensor([[3]]), generator=torch.Generator().manual_seed(1))
    b = policy.draw(scores, torch.tensor([[3]]), generator=torch.Generator().manual_seed(1))
    assert torch.equal(scores, SCORES)
    assert torch.equal(a.items, b.items)
    assert int(a.items) != 3


def test_bad_input() -> None:
    policy, generator = SoftmaxPolicy(), torch.Generator()
    for number in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match="temperature"):
            SoftmaxPolicy(temperature=number)
    with pytest.raises(ConfigError, match="uniform"):
        SoftmaxPolicy(uniform=1.1)
    with pytest.raises(NonFiniteError, match="NaN"):
        policy.probabilities(torch.tensor([[0.0, torch.nan]]))
    with pytest.raises(ConfigError, match="row per user"):
        policy.probabilities(torch.zeros(3))
    for exclude in (torch.tensor([[4]]), torch.tensor([[0], [1]]), torch.tensor([0])):
        with pytest.raises(ConfigError, match="exclude has shape"):
            policy.probabilities(SCORES, exclude)
    with pytest.raises(ConfigError, match="no item left"):
        policy.probabilities(SCORES, torch.arange(4).unsqueeze(0))
    with pytest.raises(ConfigError, match=r"k=4 is outside 1\.\.3"):
        policy.draw(SCORES, torch.tensor([[0]]), k=4, generator=generator)
    with pytest.raises(ConfigError, match="items have shape"):
        policy.propensity(SCORES, torch.tensor([1]))
    with pytest.raises(ConfigError, match="rows of the catalogue"):
        policy.propensity(SCORES, torch.tensor([[4]]))
