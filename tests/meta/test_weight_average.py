import pytest
import torch
from torch import nn

from graphmeta.meta.weight_average import WeightAverage


def test_the_mean_is_that_of_all_steps_at_first_and_exponential_later() -> None:
    weight = nn.Parameter(torch.zeros(2))
    average = WeightAverage({"w": weight}, decay=0.5)
    walked = [torch.tensor([float(n), 1.0]) for n in (1, 2, 3, 4)]
    for value in walked:
        with torch.no_grad():
            weight.copy_(value)
        average.note_step()
    average.use()
    # (1 + 2) / 2 = 1.5, then half way to 3 and half way to 4.
    assert weight.tolist() == pytest.approx([3.125, 1.0])
    average.put_back()
    assert weight.tolist() == [4.0, 1.0]


def test_use_and_put_back_do_nothing_twice_and_nothing_before_a_step() -> None:
    weight = nn.Parameter(torch.ones(1))
    average = WeightAverage({"w": weight})
    average.use()
    with torch.no_grad():
        weight.fill_(3.0)
    average.put_back()
    assert weight.item() == 3.0
    average.note_step()
    with torch.no_grad():
        weight.fill_(5.0)
    average.note_step()
    for _ in range(2):
        average.use()
        assert weight.item() == 4.0
    for _ in range(2):
        average.put_back()
        assert weight.item() == 5.0


def test_a_frozen_parameter_is_left_alone() -> None:
    frozen = nn.Parameter(torch.ones(1), requires_grad=False)
    average = WeightAverage({"frozen": frozen, "w": nn.Parameter(torch.ones(1))})
    assert set(average.state()) == {"w", "average"}


def test_a_restored_mean_goes_on_as_if_it_had_never_stopped() -> None:
    def step(weight: nn.Parameter, average: WeightAverage, value: float) -> None:
        average.put_back()
        with torch.no_grad():
            weight.fill_(value)
        average.note_step()
        average.use()

    weight, other = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
    whole, second = WeightAverage({"w": weight}), WeightAverage({"w": other})
    for value in (1.0, 2.0):
        step(weight, whole, value)
    state = {name: value.clone() for name, value in whole.state().items()}
    with torch.no_grad():
        other.copy_(weight)
    second.restore(state)
    step(weight, whole, 6.0)
    step(other, second, 6.0)
    assert weight.item() == other.item() == 3.0
