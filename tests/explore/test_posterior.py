"""Spreads, draws and chances of a posterior."""

import pytest
import torch

from graphmeta.explore.posterior import Posterior

OFFSET = torch.tensor([[0.0, -1.0, 2.0], [1.0, 0.0, 0.0]])
# Two directions, and the activity.
FEATURES = torch.tensor([[1.0, 0.0, 0.5], [0.0, 2.0, 0.5], [1.0, 1.0, 0.5]])
ROOT = torch.tensor([[[0.6, 0.0, 0.0]], [[0.0, 0.0, 0.8]]])
POSTERIOR = Posterior(OFFSET, FEATURES, torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, -2.0]]), ROOT)


def test_by_hand() -> None:
    torch.testing.assert_close(POSTERIOR.mean, torch.tensor([[1.0, -1.0, 3.0], [0.0, -1.0, -1.0]]))
    # User 0 knows direction 0 better (variance .64), user 1 the activity (.36).
    variance = torch.tensor([[0.89, 4.25, 1.89], [1.09, 4.09, 2.09]])
    torch.testing.assert_close(POSTERIOR.std, variance.sqrt())
    taste = torch.tensor([[0.64, 4.0, 1.64], [1.0, 4.0, 2.0]])
    torch.testing.assert_close(POSTERIOR.taste_std, taste.sqrt())


def test_draws_have_the_mean_and_the_spread() -> None:
    generator = torch.Generator().manual_seed(0)
    drawn = torch.stack([POSTERIOR.logits(POSTERIOR.draw(generator)) for _ in range(4000)])
    torch.testing.assert_close(drawn.mean(0), POSTERIOR.mean, atol=0.15, rtol=0)
    torch.testing.assert_close(drawn.std(0), POSTERIOR.std, atol=0.1, rtol=0)
    sure = POSTERIOR.logits(POSTERIOR.draw(generator, scale=0.0))
    torch.testing.assert_close(sure, POSTERIOR.mean)


def test_chances_are_the_means_of_drawn_ones() -> None:
    generator = torch.Generator().manual_seed(1)
    items = torch.tensor([[2, 0], [1, 1]])
    drawn = [POSTERIOR.logits(POSTERIOR.draw(generator), items).sigmoid() for _ in range(4000)]
    torch.testing.assert_close(
        POSTERIOR.chance(items), torch.stack(drawn).mean(0), atol=0.02, rtol=0
    )


def test_blocks_of_users_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = POSTERIOR.std
    monkeypatch.setattr("graphmeta.explore.posterior.NUMBERS_AT_ONCE", 1)
    torch.testing.assert_close(POSTERIOR.std, whole)
