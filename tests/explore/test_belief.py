"""From scores and answers to what is believed."""

import math

import pytest
import torch

from graphmeta.data import ColdSplit
from graphmeta.data.cold_users import Support
from graphmeta.errors import ConfigError
from graphmeta.explore import Belief, Scales


def test_the_guess_is_the_mean_number_of_items(split: ColdSplit) -> None:
    n_edges = split.train["user", "rates", "item"].edge_index.size(1)
    expected = math.log(n_edges / split.train["user"].num_nodes)
    guess = Scales.guess(split.train)
    assert guess.level == pytest.approx(expected)
    assert (guess.slope, guess.taste, guess.activity) == (1, 1, 1)


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ({"level": math.nan}, "finite"),
        ({"slope": 0.0}, "slope above 0"),
        ({"taste": -1.0}, "0 or more"),
        ({"activity": -0.1}, "0 or more"),
    ],
)
def test_scales_outside_their_range(numbers: dict[str, float], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Scales(**{"level": 1.0, **numbers})


def test_the_mean_ranks_as_the_model_before_any_answer(belief: Belief) -> None:
    log_share = belief.log_share(Support(torch.empty(1, 0, dtype=torch.long)))
    assert float(log_share.exp().sum()) == pytest.approx(1, abs=1e-5)
    nothing = torch.empty(1, 0, dtype=torch.long)
    posterior = belief.posterior(log_share, nothing, nothing.bool())
    torch.testing.assert_close(posterior.mean, belief.scales.level + log_share)
    assert posterior.std.flatten().tolist() == pytest.approx([2**0.5] * log_share.size(1))


def test_a_refusal_lowers_what_is_alike_and_narrows_it(belief: Belief) -> None:
    log_share = belief.log_share(Support(torch.empty(1, 0, dtype=torch.long)))
    refused = torch.tensor([[int(log_share.argmax())]])
    before = belief.posterior(log_share, refused[:, :0], refused[:, :0].bool())
    after = belief.posterior(log_share, refused, torch.tensor([[False]]))
    likeness = (belief.directions @ belief.directions[refused[0, 0]]) + 1  # And the activity.
    lowered = (before.mean - after.mean)[0]
    torch.testing.assert_close(lowered / lowered[refused[0, 0]], likeness / 2, atol=1e-3, rtol=1e-3)
    narrowed = (before.std - after.std)[0]
    assert int(narrowed.argmax()) == int(refused)
    assert float(narrowed.min()) >= -1e-6
    # Padding is no answer.
    padded = torch.cat([refused, torch.tensor([[-1]])], dim=1)
    same = belief.posterior(log_share, padded, torch.zeros_like(padded, dtype=torch.bool))
    torch.testing.assert_close(same.mean, after.mean)
