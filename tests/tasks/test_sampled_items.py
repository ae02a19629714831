"""Items that stand for a catalogue."""

from __future__ import annotations

import pytest
import torch

from graphmeta.data.cold_users import Support
from graphmeta.errors import ConfigError
from graphmeta.tasks.sampled_items import ItemSampler, SampledItems, sampler_for

DEGREE = torch.tensor([50.0, 0.0, 3.0, 9.0, 0.0, 20.0])


def test_weighted_sums_are_the_catalogues_on_average() -> None:
    value = torch.tensor([1.0, 5.0, 2.0, -3.0, 0.5, 4.0])
    sampler, generator = ItemSampler(DEGREE, n_draws=40), torch.Generator().manual_seed(0)
    found = []
    for _ in range(400):
        some = sampler.draw(generator)
        assert some.item.tolist() == sorted(set(some.item.tolist()))
        found.append((some.log_weight.exp() * value[some.item]).sum())
    mean, error = torch.stack(found).mean(), torch.stack(found).std() / 20
    assert abs(float(mean - value.sum())) < 3 * float(error)


def test_what_was_not_drawn_has_no_weight_and_what_was_has_the_ratio() -> None:
    sampler = ItemSampler(torch.tensor([0.0, 0.0, 1e9]), n_draws=8)
    some = sampler.draw(torch.Generator().manual_seed(0), also=torch.tensor([1, 2, 1]))
    assert some.item.tolist() == [1, 2]
    assert some.log_weight[0] == -torch.inf
    assert float(some.log_weight[1]) == pytest.approx(0.0, abs=1e-6)  # 8 times, and 8 expected.


def test_shown_items_are_found_and_padding_is_not() -> None:
    some = SampledItems(torch.tensor([1, 4, 7]), torch.zeros(3), n_items=9)
    shown = some.shown(Support(torch.tensor([[7, 3, -1], [1, 4, 0]])))
    assert shown.tolist() == [[False, False, True], [True, True, False]]


def test_large_catalogues_are_sampled_unless_told_otherwise() -> None:
    small, large = torch.ones(50_000), torch.ones(50_001)
    assert sampler_for(small, None) is None
    automatic = sampler_for(large, None)
    assert automatic is not None
    assert automatic.n_draws == 4096
    assert sampler_for(large, 0) is None
    asked = sampler_for(small, 7)
    assert asked is not None
    assert asked.n_draws == 7
    with pytest.raises(ConfigError, match="num_sampled=-1 must be"):
        sampler_for(small, -1)
