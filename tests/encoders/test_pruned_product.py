"""Pruned search finds what scoring everything finds."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from graphmeta.encoders import pruned_product as module
from graphmeta.encoders.pruned_product import PrunedProduct


def dense(
    q: Tensor,
    w: Tensor,
    factors: Tensor,
    columns: Tensor,
    lifted: tuple[Tensor, Tensor, Tensor],
    excluded: Tensor,
    allowed: Tensor | None,
) -> Tensor:
    scores = q @ factors.T + w @ columns.T
    scores[lifted[0], lifted[1]] += lifted[2]
    user, column = (excluded >= 0).nonzero().unbind(1)
    scores[user, excluded[user, column]] = -torch.inf
    return scores if allowed is None else scores.masked_fill(~allowed, -torch.inf)


@given(st.integers(0, 2**30), st.sampled_from(["none", "all", "each"]), st.integers(1, 9))
@settings(max_examples=120, deadline=None)
def test_the_same_as_scoring_everything(seed: int, allows: str, k: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    n, n_items, c = 5, 60, 3
    factors = torch.randn(n_items, c, generator=draw) * torch.rand(1, generator=draw)
    columns = torch.randn(n_items, 2, generator=draw)
    q, w = torch.randn(n, c, generator=draw), torch.randn(2, 2, generator=draw)
    w = w[torch.randint(2, (n,), generator=draw)]
    pair = torch.randperm(n * n_items, generator=draw)[:40]
    lifted = (pair // n_items, pair % n_items, torch.randn(40, generator=draw))
    excluded = torch.stack([torch.randperm(n_items, generator=draw)[:4] for _ in range(n)])
    excluded[torch.rand(excluded.shape, generator=draw) < 0.3] = -1
    shape = {"all": (1, n_items), "each": (n, n_items)}.get(allows)
    allowed = None if shape is None else torch.rand(shape, generator=draw) < 0.6
    options: dict[str, Any] = {"lifted": lifted, "excluded": excluded, "allowed": allowed}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "FIRST_ITEMS", 4)
        found = PrunedProduct(factors, columns, torch.tensor([1.0, 0.5])).best(q, w, k=k, **options)
    scores = dense(q, w, factors, columns, **options)
    best = scores.topk(k)
    torch.testing.assert_close(found[1], best.values)
    torch.testing.assert_close(scores.gather(1, found[0]), best.values)
    assert all(len(set(row)) == k for row in found[0].tolist())


def test_items_that_cannot_come_in_are_not_scored(monkeypatch: pytest.MonkeyPatch) -> None:
    factors = 0.1 * torch.randn(1000, 4, generator=torch.Generator().manual_seed(0))
    columns = torch.arange(1000.0).unsqueeze(1)
    monkeypatch.setattr(module, "FIRST_ITEMS", 8)
    scored, addmm = [], torch.addmm

    def counting(shared: Tensor, *operands: Tensor) -> Tensor:
        scored.append(len(shared))
        return addmm(shared, *operands)

    monkeypatch.setattr(torch, "addmm", counting)
    q, nothing = torch.ones(1, 4), torch.empty(0, dtype=torch.long)
    items, _ = PrunedProduct(factors, columns, torch.ones(1)).best(
        q,
        torch.ones(1, 1),
        k=3,
        lifted=(nothing, nothing, torch.empty(0)),
        excluded=torch.tensor([[998]]),
    )
    assert items.tolist() == [[999, 997, 996]]
    assert sum(scored) <= 24
