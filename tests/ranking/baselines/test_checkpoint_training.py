import itertools

import pytest
import torch

from graphmeta.errors import ConfigError, NonFiniteError
from graphmeta.ranking.baselines.checkpoint_training import Checkpoints, train, user_batches


def test_training_reaches_the_minimum_in_stages():
    x = torch.zeros(2, requires_grad=True)
    target = torch.tensor([1.0, -2.0])
    checkpoints = train(
        [x], lambda: (x - target).square().sum(), num_steps=500, lr=0.05, averaging=0.9
    )
    assert torch.allclose(checkpoints.at(1.0)[0], target, atol=1e-3)
    far = [float((checkpoints.at(share)[0] - target).norm()) for share in (0.2, 0.4, 1.0)]
    assert far[0] > far[1] > far[2]


def test_average_of_the_first_two_steps_by_hand():
    # Adam's first steps on a constant gradient are lr each: x = 0, -1, -2. The first step keeps
    # 1 / 11 of the average, the second 2 / 12.
    x = torch.zeros(1, requires_grad=True)
    checkpoints = train([x], lambda: x.sum(), num_steps=2, lr=1.0, averaging=0.9)
    first = -10 / 11
    assert checkpoints.stages[-1][0].item() == pytest.approx(first * 2 / 12 - 2 * 10 / 12)


def test_fewer_steps_than_stages_give_a_stage_for_each_step():
    x = torch.zeros(1, requires_grad=True)
    checkpoints = train([x], lambda: x.sum(), num_steps=2, lr=1.0, averaging=0.0)
    assert [stage[0].item() for stage in checkpoints.stages] == pytest.approx([-1.0, -2.0])
    assert checkpoints.at(0.2) is checkpoints.stages[0]


@pytest.mark.parametrize("share", [0.0, 1.1, float("nan")])
def test_a_share_outside_the_training_is_refused(share):
    with pytest.raises(ConfigError, match=r"stop_at=.* above 0 and at most 1"):
        Checkpoints(("a", "b")).at(share)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_non_finite_loss_is_refused(bad):
    x = torch.ones(1, requires_grad=True)
    values = itertools.chain([1.0], itertools.repeat(bad))
    with pytest.raises(NonFiniteError, match=r"step 2 of 9 is .*; lower lr=0.1"):
        train([x], lambda: x.sum() * next(values), num_steps=9, lr=0.1, averaging=0.0)


def test_batches_hold_every_user_once_before_any_again():
    batches = user_batches(7, 3, torch.Generator().manual_seed(0))
    for _ in range(2):
        epoch = torch.cat([next(batches) for _ in range(3)])
        assert sorted(epoch.tolist()) == list(range(7))
