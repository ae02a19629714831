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


def test_items_of_random_users_count_as_draws() -> None:
    generator = torch.Generator().manual_seed(0)
    rates = torch.rand(60, 6, generator=generator) < torch.tensor([0.9, 0.5, 0.1, 0.3, 0.05, 0.7])
    value = torch.tensor([1.0, 5.0, 2.0, -3.0, 0.5, 4.0])
    sampler = ItemSampler(rates.sum(0), n_draws=4)
    found = []
    for _ in range(4000):
        batch = torch.randperm(60, generator=generator)[:6]
        seen = rates[batch].nonzero()[:, 1]
        some = sampler.draw(generator, seen=seen)
        assert set(seen.tolist()) <= set(some.item.tolist())
        found.append((some.log_weight.exp() * value[some.item]).sum())
    total = torch.stack(found)
    assert float(total.mean()) == pytest.approx(float(value.sum()), abs=0.3)
    # Far less noise than from the four draws alone.
    alone = torch.stack(
        [
            (some.log_weight.exp() * value[some.item]).sum()
            for some in (sampler.draw(generator) for _ in range(4000))
        ]
    )
    assert float(total.std()) < 0.6 * float(alone.std())


def test_a_weight_is_how_often_it_came_over_how_often_expected() -> None:
    sampler = ItemSampler(torch.tensor([0.0, 3.0, 1e9]), n_draws=8)
    some = sampler.draw(torch.Generator().manual_seed(0), seen=torch.tensor([1, 2, 1]))
    assert some.item.tolist() == [1, 2]
    total = 1e9 + 3
    expected = [8 * 4 / (total + 3) + 3 * 3 / total, 8 * (1e9 + 1) / (total + 3) + 3e9 / total]
    wanted = torch.tensor([2 / expected[0], 9 / expected[1]]).log()  # 8 times drawn, once seen.
    torch.testing.assert_close(some.log_weight, wanted)


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
    for wrong in (-1, 2.5):
        with pytest.raises(ConfigError, match=f"num_sampled={wrong} must be a whole number, 0 for"):
            sampler_for(small, wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="n_draws=0 must be at least 1"):
        ItemSampler(small, n_draws=0)
