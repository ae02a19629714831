"""Curves over the support size: at the knots, between them, beyond."""

from __future__ import annotations

import math

import pytest
import torch

from graphmeta.encoders.support_size_curve import SupportSizeCurve


def test_is_linear_in_the_logarithm_between_knots_and_flat_beyond() -> None:
    curve = SupportSizeCurve({"a": 0.0})
    with torch.no_grad():
        curve.values["a"].copy_(torch.tensor([1.0, 2.0, 3.0, 5.0]))
    found = curve(torch.tensor([0, *curve.sizes, 2, 7, 40]))["a"]
    assert found.shape == (8, 1)
    share = math.log(7 / 5) / math.log(2)
    wanted = [1, 1, 2, 3, 5, 1 + math.log(2) / math.log(3), 3 + 2 * share, 5]
    assert found.flatten().tolist() == pytest.approx(wanted, abs=1e-5)


def test_larger_supports_have_knots_of_their_own() -> None:
    assert SupportSizeCurve({"a": 0.0}, k_max=2).sizes == (1, 3, 5, 10)
    curve = SupportSizeCurve({"a": 0.0}, k_max=100)
    assert curve.sizes == (1, 3, 5, 10, 30, 100)
    curve(torch.tensor([50, 400]))["a"].sum().backward()
    assert curve.values["a"].grad.nonzero().flatten().tolist() == [4, 5]


def test_a_size_moves_the_knots_beside_it_only() -> None:
    curve = SupportSizeCurve({"a": 0.0})
    curve(torch.tensor([2]))["a"].sum().backward()
    gradient = curve.values["a"].grad
    assert gradient is not None
    assert gradient[2:].tolist() == [0, 0]
    assert gradient[:2].sum().item() == pytest.approx(1.0)
