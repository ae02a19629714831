"""Gradients of single users: against one backward pass per user, and their clipped sum."""

import math

import pytest
import torch
from torch import nn
from torch_geometric.data import HeteroData

from graphmeta.data.cold_users import Support
from graphmeta.encoders import CatalogueHead
from graphmeta.errors import ConfigError
from graphmeta.meta import ANIL, MAML, MetaSGD, RidgeHead
from graphmeta.meta.learner import Learner
from graphmeta.meta.private_gradient import clipped_sum, refuse_unclippable, user_gradients
from graphmeta.tasks.episode_sampler import EpisodeSampler

LEARNERS = {
    "maml": lambda encoder: MAML(encoder, adapt=("layers.*.shift.*",), inner_steps=2),
    "second order": lambda encoder: MAML(encoder, adapt=("layers.*",), first_order=False),
    "meta-sgd": lambda encoder: MetaSGD(encoder, adapt=("layers.*.shift.*",)),
    "anil": lambda encoder: ANIL(encoder),
}


@pytest.mark.parametrize("name", LEARNERS)
@pytest.mark.parametrize("is_adapted", [True, False])
def test_a_row_is_the_gradient_of_that_user_alone(
    graph: HeteroData, head: CatalogueHead, encoder: nn.Module, name: str, is_adapted: bool
) -> None:
    learner = LEARNERS[name](encoder).train()
    support = Support(torch.tensor([[0, 1], [3, 4], [5, 7]]))
    sampler = EpisodeSampler(graph, num_neighbors=(2, 2))
    episodes = sampler.sample(support, generator=torch.Generator().manual_seed(0))
    seen = torch.zeros(3, 9)
    for user, items in enumerate(([0, 1, 2], [3, 4, 5, 6, 8], [5, 7, 0])):
        seen[user, items] = 1
    found = user_gradients(learner, head, episodes, seen, is_adapted=is_adapted)
    parameters = dict(learner.encoder.named_parameters())
    weights = [parameters[name] for name in learner.adapted_names]
    for user in range(3):
        one = slice(user, user + 1)
        loss = learner.outer_loss(episodes[one], head, seen[one], is_adapted=is_adapted)
        alone = torch.autograd.grad(loss, weights, allow_unused=True)
        for name, gradient in zip(learner.adapted_names, alone, strict=True):
            expected = torch.zeros_like(parameters[name]) if gradient is None else gradient
            torch.testing.assert_close(found[name][user], expected, rtol=1e-4, atol=1e-6)
    assert all(parameter.grad is None for parameter in learner.parameters())
    assert learner.shared_weights(2).keys() == found.keys()  # Its own again.


def test_the_clipped_sum_by_hand() -> None:
    gradients = {
        "a": torch.tensor([[3.0, 0.0], [0.3, 0.0], [math.nan, 0.0]]),
        "b": torch.tensor([4.0, 0.4, 1.0]),
    }
    found = clipped_sum(gradients, 1.0)  # Norms 5, .5 and none.
    torch.testing.assert_close(found["a"], torch.tensor([0.9, 0.0]))
    torch.testing.assert_close(found["b"], torch.tensor(1.2))
    plain = clipped_sum(gradients, math.inf)
    torch.testing.assert_close(plain["b"], torch.tensor(4.4))


def test_no_user_moves_the_sum_by_more_than_the_clip() -> None:
    generator = torch.Generator().manual_seed(0)
    for scale in (1e-3, 1.0, 1e6):
        rows = {n: scale * torch.randn(6, *s, generator=generator) for n, s in
                (("a", (3, 2)), ("b", (4,)))}  # fmt: skip
        whole = clipped_sum(rows, 0.5)
        for user in range(6):
            others = torch.arange(6) != user
            rest = clipped_sum({n: r[others] for n, r in rows.items()}, 0.5)
            moved = torch.cat([(whole[n] - rest[n]).flatten() for n in rows]).norm()
            assert moved <= 0.5 * (1 + 1e-5)


def test_what_cannot_be_clipped_by_user(encoder: nn.Module) -> None:
    with pytest.raises(ConfigError, match="clip=0 must be above 0"):
        clipped_sum({"a": torch.zeros(1, 1)}, 0)
    with pytest.raises(ConfigError, match="RidgeHead adapts no parameters of the encoder"):
        refuse_unclippable(RidgeHead(encoder))

    class Other(MAML):
        def outer_loss(self, *arguments: object, **options: object) -> torch.Tensor:
            return torch.zeros(())

    with pytest.raises(ConfigError, match="outer loss of its own"):
        refuse_unclippable(Other(encoder))
    assert Other.outer_loss is not Learner.outer_loss
