"""What policies show."""

import pytest
import torch

from graphmeta.errors import ConfigError
from graphmeta.explore import (
    EXPLORING,
    UCB,
    Corrected,
    EpsilonGreedy,
    Greedy,
    Policy,
    Popularity,
    Posterior,
    Thompson,
)

N_ITEMS = 12
ALL = [Popularity(torch.arange(N_ITEMS)), Greedy(), Corrected(), *(p() for p in EXPLORING.values())]


def _posterior(n_users: int = 3) -> Posterior:
    generator = torch.Generator().manual_seed(0)
    return Posterior(
        torch.randn(n_users, N_ITEMS, generator=generator),
        torch.randn(N_ITEMS, 4, generator=generator),
        torch.randn(n_users, 4, generator=generator),
        0.3 * torch.rand(n_users, 2, 4, generator=generator),
    )


@pytest.mark.parametrize("policy", ALL, ids=lambda policy: policy.name)
def test_slates_are_distinct_and_new(policy: Policy) -> None:
    is_shown = torch.zeros(3, N_ITEMS, dtype=torch.bool)
    is_shown[:, ::3] = True
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        slate = policy.slate(_posterior(), is_shown, 8, generator)
        assert all(len(set(row)) == 8 for row in slate.tolist())
        assert not bool(is_shown.gather(1, slate).any())
        again = policy.slate(_posterior(), is_shown, 8, torch.Generator().manual_seed(seed))
        assert torch.equal(slate, again)


@pytest.mark.parametrize("kind", EXPLORING.values(), ids=EXPLORING)
def test_without_strength_they_are_corrected_greedy(kind: type[Policy]) -> None:
    generator = torch.Generator().manual_seed(0)
    closed = torch.zeros(3, N_ITEMS, dtype=torch.bool)
    expected = Corrected().slate(_posterior(), closed, 5, generator)
    assert torch.equal(kind(0.0).slate(_posterior(), closed, 5, generator), expected)


def test_ucb_by_hand() -> None:
    # The second item is worse on average and less sure; the activity is no reason.
    features = torch.tensor([[0.5, 9.0], [1.0, 9.0]])
    posterior = Posterior(
        torch.tensor([[0.6, 0.2]]), features, torch.zeros(1, 2), torch.zeros(1, 0, 2)
    )
    generator, nothing = torch.Generator(), torch.zeros(1, 2, dtype=torch.bool)
    assert int(UCB(0.7).slate(posterior, nothing, 1, generator)) == 0  # .95 against .9.
    assert int(UCB(0.9).slate(posterior, nothing, 1, generator)) == 1  # 1.05 against 1.1.


def test_thompson_shows_an_item_as_often_as_it_is_the_best() -> None:
    posterior = Posterior(
        torch.tensor([[0.5, 0.0]]).expand(4000, 2),
        torch.eye(2),
        torch.zeros(4000, 2),
        torch.zeros(4000, 0, 2),
    )
    closed = torch.zeros(4000, 2, dtype=torch.bool)
    slate = Thompson(1.0).slate(posterior, closed, 1, torch.Generator().manual_seed(0))
    better = torch.distributions.Normal(0.0, 1.0).cdf(torch.tensor(0.5 / 2**0.5))
    assert float((slate == 0).float().mean()) == pytest.approx(float(better), abs=0.03)


def test_epsilon_is_the_share_of_random_places() -> None:
    posterior = Posterior(
        torch.arange(100.0).expand(4000, 100),
        torch.zeros(100, 1),
        torch.zeros(4000, 1),
        torch.zeros(4000, 0, 1),
    )
    closed = torch.zeros(4000, 100, dtype=torch.bool)
    slate = EpsilonGreedy(0.3).slate(posterior, closed, 4, torch.Generator().manual_seed(0))
    is_best = slate == torch.tensor([99, 98, 97, 96])
    assert float(is_best.float().mean()) == pytest.approx(0.7, abs=0.02)


@pytest.mark.parametrize(
    ("kind", "strength", "said"),
    [
        (EpsilonGreedy, 1.5, "at most 1"),
        (Thompson, -0.1, "0 or more"),
        (UCB, 31.0, "at most 30"),
        (UCB, float("nan"), "0 or more"),
    ],
)
def test_strengths_outside_the_range(kind: type[Policy], strength: float, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        kind(strength)
