"""All bits of a seed count."""

import pytest
import torch

from graphmeta.privacy.secret_generator import secret_generator


def drawn(seed: int | None) -> torch.Tensor:
    return torch.randn(20_000, generator=secret_generator(seed))


@pytest.mark.parametrize("bit", [0, 31, 32, 64, 200])
def test_every_bit_of_the_seed_changes_the_numbers(bit: int) -> None:
    gap = drawn(5) - drawn(5 ^ 2**bit)
    assert float(gap.abs().mean()) > 1  # Of independent numbers it is 2 / sqrt(pi).


def test_a_seed_repeats_them_and_the_system_does_not() -> None:
    assert torch.equal(drawn(5), drawn(5))
    assert not torch.equal(drawn(None), drawn(None))


def test_they_are_normal() -> None:
    found = drawn(3)
    assert float(found.mean()) == pytest.approx(0, abs=0.03)
    assert float(found.std()) == pytest.approx(1, abs=0.03)
    assert float((found[1:] * found[:-1]).mean()) == pytest.approx(0, abs=0.03)
