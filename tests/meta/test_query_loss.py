"""The outer loss against its definition, and that it is a proper score."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from graphmeta.data.cold_users import Support
from graphmeta.errors import ConfigError
from graphmeta.meta import query_loss
from graphmeta.tasks.sampled_items import ItemSampler, SampledItems
from graphmeta.tasks.seen_items import SeenItems

SHOWN = Support(torch.tensor([[0]]))


def by_hand(scores: Tensor, query: list[int], power: float) -> Tensor:
    p = scores[0, 1:].softmax(0)
    n = len(p)
    cost = [
        -((n * p[y - 1]) ** power) / power + (p * (n * p) ** power).sum() / (1 + power)
        for y in query
    ]
    return torch.stack(cost).mean()


@pytest.mark.parametrize("power", [0.3, 0.7, 1.0])
def test_power_score_by_hand_leaves_the_support_out(power: float) -> None:
    scores = torch.tensor([[9.0, 1.0, 2.0, 0.0]])
    loss = query_loss(scores, SHOWN, torch.tensor([[1.0, 1.0, 1.0, 0.0]]), power=power)
    torch.testing.assert_close(loss, by_hand(scores, [1, 2], power))


def test_a_small_power_is_the_cross_entropy_up_to_a_constant() -> None:
    seen = torch.tensor([[1.0, 1.0, 1.0, 0.0]])
    values = []
    for scores in (torch.tensor([[9.0, 1.0, 2.0, 0.0]]), torch.tensor([[0.0, 0.0, 3.0, 1.0]])):
        log_p = scores[:, 1:].log_softmax(1)[0]
        cross_entropy = -(log_p[0] + log_p[1]) / 2
        values.append(query_loss(scores, SHOWN, seen, power=1e-3) - cross_entropy)
    torch.testing.assert_close(values[0], values[1], atol=2e-2, rtol=0)


def test_the_true_distribution_is_the_minimum() -> None:
    truth = torch.tensor([0.5, 0.3, 0.15, 0.05])
    scores = torch.cat([torch.zeros(1), truth.log()]).expand(4, -1).clone().requires_grad_()
    support = Support(torch.zeros(4, 1, dtype=torch.long))
    seen = torch.cat([torch.ones(4, 1), torch.eye(4)], dim=1)
    total = sum(
        share * query_loss(scores[i : i + 1], support[slice(i, i + 1)], seen[i : i + 1])
        for i, share in enumerate(truth.tolist())
    )
    gradient = torch.autograd.grad(total, scores)[0].sum(0)
    torch.testing.assert_close(gradient, torch.zeros(5), atol=1e-6, rtol=0)


def test_with_weights_the_minimum_is_the_weighted_distribution() -> None:
    truth, weight = torch.tensor([0.5, 0.3, 0.15, 0.05]), torch.tensor([9.0, 0.5, 1.0, 2.0, 3.0])
    best = (truth * weight[1:]).log()  # Not in proportion to one: the softmax does that.
    scores = torch.cat([torch.zeros(1), best]).expand(4, -1).clone().requires_grad_()
    support = Support(torch.zeros(4, 1, dtype=torch.long))
    seen = torch.cat([torch.ones(4, 1), torch.eye(4)], dim=1)
    total = sum(
        share
        * query_loss(scores[i : i + 1], support[slice(i, i + 1)], seen[i : i + 1], weight=weight)
        for i, share in enumerate(truth.tolist())
    )
    gradient = torch.autograd.grad(total, scores)[0].sum(0)
    torch.testing.assert_close(gradient, torch.zeros(5), atol=1e-6, rtol=0)


def test_weights_multiply_the_cost_of_their_item() -> None:
    scores, seen = torch.tensor([[9.0, 1.0, 2.0, 0.0]]), torch.tensor([[1.0, 1.0, 1.0, 0.0]])
    weight = torch.tensor([5.0, 0.5, 3.0, 7.0])
    found = query_loss(scores, SHOWN, seen, weight=weight)
    each = [by_hand(scores, [y], 0.7) * weight[y] for y in (1, 2)]
    torch.testing.assert_close(found, torch.stack(each).mean())


def test_gradcheck() -> None:
    scores = torch.randn(2, 5, generator=torch.Generator().manual_seed(0)).double()
    support = Support(torch.tensor([[0, 1], [2, -1]]))
    seen = torch.tensor([[1.0, 1, 1, 0, 0], [0, 1, 1, 0, 1]]).double()
    start = scores.requires_grad_()
    assert torch.autograd.gradcheck(lambda s: query_loss(s, support, seen), (start,))


def test_gradcheck_on_sampled_items() -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(2, 5, generator=generator).double().requires_grad_()
    support = Support(torch.tensor([[0, 10], [20, -1]]))
    log_weight = torch.rand(5, generator=generator).double()
    sampled = SampledItems(torch.tensor([0, 10, 20, 30, 40]), log_weight, n_items=50)
    seen = torch.tensor([[1.0, 1, 1, 0, 0], [0, 1, 1, 0, 1]]).double()
    weight = torch.linspace(0.5, 2.0, 50).double()
    assert torch.autograd.gradcheck(
        lambda s: query_loss(s, support, seen, weight=weight, sampled=sampled), (scores,)
    )


@pytest.mark.parametrize("weights", [None, torch.zeros(4)])
def test_a_shown_item_may_have_any_score(weights: Tensor | None) -> None:
    sampled = None if weights is None else SampledItems(torch.arange(4), weights, n_items=4)
    seen = torch.tensor([[1.0, 1.0, 1.0, 0.0]])
    losses, slopes = [], []
    for shown in (0.0, 1e4):
        scores = torch.tensor([[shown, 1.0, 2.0, 0.0]], requires_grad=True)
        loss = query_loss(scores, SHOWN, seen, sampled=sampled)
        losses.append(loss)
        slopes.append(torch.autograd.grad(loss, scores)[0])
    torch.testing.assert_close(losses[0], losses[1])
    torch.testing.assert_close(slopes[0], slopes[1])


def test_bad_input() -> None:
    for power in (0.0, 1.5):
        with pytest.raises(ConfigError, match=f"power={power} is outside"):
            query_loss(torch.zeros(1, 2), SHOWN, torch.ones(1, 2), power=power)


def test_sampled_items_estimate_the_loss_of_the_catalogue() -> None:
    generator = torch.Generator().manual_seed(0)
    n_users, n_items = 6, 300
    scores = torch.randn(n_users, n_items, generator=generator)
    support = Support(torch.arange(2 * n_users).view(n_users, 2))
    row = torch.arange(n_users).repeat_interleave(5)
    item = torch.cat([torch.tensor([2 * i, 2 * i + 1, 50 + i, 80 + i, 99]) for i in range(n_users)])
    seen = SeenItems(row, item, n_users)
    weight = torch.rand(n_items, generator=generator) + 0.5
    scores.requires_grad_()
    exact = query_loss(scores, support, seen.to_dense(n_items), weight=weight)
    sampler = ItemSampler(20 * torch.rand(n_items, generator=generator), n_draws=1_000_000)
    sampled = sampler.draw(generator)
    columns = seen.among(sampled.item)
    found = query_loss(scores[:, sampled.item], support, columns, weight=weight, sampled=sampled)
    torch.testing.assert_close(found, exact, atol=5e-3, rtol=0)
    its, wanted = (torch.autograd.grad(loss, scores)[0] for loss in (found, exact))
    assert float((its - wanted).norm()) < 0.05 * float(wanted.norm())


def test_the_users_own_query_counts_once_however_often_it_was_drawn() -> None:
    scores = torch.tensor([[9.0, 1.0, 2.0, 0.0]])
    seen = torch.tensor([[1.0, 1.0, 1.0, 0.0]])
    weights = torch.tensor([0.0, 5.0, -torch.inf, 0.0])
    sampled = SampledItems(torch.arange(4), weights, n_items=4)
    loss = query_loss(scores, SHOWN, seen, sampled=sampled)
    torch.testing.assert_close(loss, query_loss(scores, SHOWN, seen))
