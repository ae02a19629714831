from __future__ import annotations

import math

import pytest
import torch
from torch_geometric.metrics import LinkPredAveragePopularity, LinkPredCoverage

from graphmeta.ranking.catalogue_metrics import catalogue_metrics


def test_by_hand() -> None:
    # Counts over the catalogue of four: 2, 1, 1, 0.
    best, known = torch.tensor([[0, 1], [0, 2]]), torch.tensor([6, 2, 0, 1])
    got = catalogue_metrics(best, known, 8)
    assert got["coverage@10"] == 3 / 4
    # Mean absolute difference over twice the mean: pairs (0,1) (0,1) (0,2) (1,1) (1,2) (1,2).
    assert got["gini@10"] == pytest.approx((1 + 1 + 2 + 0 + 1 + 1) * 2 / 4**2 / (2 * 1))
    assert got["popularity@10"] == pytest.approx((6 + 2 + 6 + 0) / 4 / 8)
    smoothed = [7 / 10, 3 / 10, 7 / 10, 1 / 10]
    assert got["novelty@10"] == pytest.approx(-sum(map(math.log2, smoothed)) / 4)
    # All but item 0 have fewer than a fifth of the 9 interactions below them.
    assert got["tail_share@10"] == 2 / 4


def test_extremes_of_inequality() -> None:
    known = torch.ones(20).long()
    even = catalogue_metrics(torch.arange(20).view(2, 10), known, 3)
    assert (even["coverage@10"], even["gini@10"]) == (1, pytest.approx(0, abs=1e-12))
    # All to ten of twenty items.
    half = catalogue_metrics(torch.arange(10).expand(7, 10), known, 3)
    assert (half["coverage@10"], half["gini@10"]) == (0.5, pytest.approx(0.5))


def test_only_the_first_ten_count() -> None:
    best = torch.arange(20).unsqueeze(0)
    assert catalogue_metrics(best, torch.ones(40).long(), 2)["coverage@10"] == 10 / 40


def test_agrees_with_pyg_and_ignores_item_order() -> None:
    generator = torch.Generator().manual_seed(0)
    best = torch.rand(30, 80, generator=generator).pow(3).argsort(1)[:, :20]
    known = torch.randint(1, 50, (80,), generator=generator)
    got = catalogue_metrics(best, known, 60)
    labels = torch.zeros(2, 1, dtype=torch.long)
    coverage, popularity = LinkPredCoverage(10, 80), LinkPredAveragePopularity(10, known / 60)
    for metric in (coverage, popularity):
        metric.update(best, labels)
    assert got["coverage@10"] == pytest.approx(float(coverage.compute()))
    assert got["popularity@10"] == pytest.approx(float(popularity.compute()), abs=1e-6)
    order = torch.randperm(80, generator=generator)
    moved = catalogue_metrics(order.argsort()[best], known[order], 60)
    assert moved == pytest.approx(got)
