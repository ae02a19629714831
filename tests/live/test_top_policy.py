"""A fixed list as a policy."""

import pytest
import torch

from graphmeta.errors import ConfigError
from graphmeta.live import Policy, SoftmaxPolicy, TopPolicy


def test_by_hand() -> None:
    scores = torch.tensor([[3.0, 1.0, 2.0, 2.0], [0.0, 0.0, 0.0, 9.0]])
    found = TopPolicy(2).probabilities(scores, torch.tensor([[0], [-1]]))
    expected = torch.tensor([[0.0, 0.0, 0.5, 0.5], [0.5, 0.0, 0.0, 0.5]])
    torch.testing.assert_close(found, expected.double())


def test_a_cold_softmax_is_the_best_item() -> None:
    scores = torch.randn(5, 20, generator=torch.Generator().manual_seed(0))
    cold: Policy = SoftmaxPolicy(temperature=1e-3)
    torch.testing.assert_close(cold.probabilities(scores), TopPolicy(1).probabilities(scores))


def test_bad_input() -> None:
    with pytest.raises(ConfigError, match="below 1"):
        TopPolicy(0)
    with pytest.raises(ConfigError, match="k=3 exceeds the 2 items"):
        TopPolicy(3).probabilities(torch.zeros(1, 3), torch.tensor([[1]]))
