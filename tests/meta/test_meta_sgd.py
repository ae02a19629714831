"""Step sizes for every adapted number."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from graphmeta.encoders import CatalogueHead
from graphmeta.errors import ConfigError
from graphmeta.meta import MAML, MetaSGD
from graphmeta.tasks.episode import EpisodeBatch

ADAPT = ("output.user.*",)


def test_equal_steps_are_those_of_maml(
    encoder: nn.Module, episodes: EpisodeBatch, head: CatalogueHead
) -> None:
    options = {"adapt": ADAPT, "inner_steps": 2, "inner_lr": 0.4}
    wanted = MAML(encoder, **options).eval().adapt(episodes, head)
    found = MetaSGD(encoder, **options).eval().adapt(episodes, head)
    for name, weights in wanted.items():
        torch.testing.assert_close(found[name], weights)


def test_a_step_goes_its_own_way_for_each_number(
    encoder: nn.Module, episodes: EpisodeBatch, head: CatalogueHead
) -> None:
    plain = MAML(encoder, adapt=ADAPT, inner_steps=1, inner_lr=1.0).eval()
    learner = MetaSGD(encoder, adapt=ADAPT, inner_steps=1).eval()
    with torch.no_grad():
        for alpha in learner.alpha:
            alpha.copy_(torch.linspace(-1.0, 1.0, alpha.numel()).view_as(alpha))
    unit, found = plain.adapt(episodes, head), learner.adapt(episodes, head)
    shared = learner.shared_weights(len(episodes))
    for name, alpha in zip(learner.adapted_names, learner.alpha, strict=True):
        wanted = shared[name] + alpha[0] * (unit[name] - shared[name])
        torch.testing.assert_close(found[name], wanted)
        assert alpha[0].shape == dict(encoder.named_parameters())[name].shape


def test_the_outer_gradient_is_the_true_one(
    encoder: nn.Module, double: tuple[EpisodeBatch, CatalogueHead]
) -> None:
    episodes, head = double
    learner = MetaSGD(encoder.double(), adapt=ADAPT, inner_steps=1, first_order=False)
    learner = learner.double().train()

    def outer(alpha: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        state = {"alpha.1": alpha, "encoder.output.user.bias": bias}
        return torch.func.functional_call(
            _Outer(learner), {f"learner.{n}": v for n, v in state.items()}, (episodes, head)
        )

    names = learner.adapted_names
    start = (
        learner.alpha[names.index("output.user.bias")].detach().clone().requires_grad_(),
        dict(encoder.named_parameters())["output.user.bias"].detach().clone().requires_grad_(),
    )
    assert names.index("output.user.bias") == 1
    assert torch.autograd.gradcheck(outer, start)


class _Outer(nn.Module):
    def __init__(self, learner: MAML) -> None:
        super().__init__()
        self.learner = learner

    def forward(self, episodes: EpisodeBatch, head: CatalogueHead) -> torch.Tensor:
        scores = self.learner.score(episodes, self.learner.adapt(episodes, head), head)
        return nn.functional.cross_entropy(scores[:2], torch.tensor([7, 8]))


def test_bad_options(encoder: nn.Module) -> None:
    with pytest.raises(ConfigError, match="inner_steps=-1"):
        MetaSGD(encoder, inner_steps=-1)
