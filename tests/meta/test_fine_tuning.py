"""Fine-tuning: which part moves, how far, and that training leaves it alone."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.data import HeteroData

from graphmeta.data.cold_users import Support
from graphmeta.encoders import CatalogueHead
from graphmeta.encoders.weights_drawn_by import weights_drawn_by
from graphmeta.errors import ConfigError
from graphmeta.meta import MAML, MetaTrainer, check_learner, query_loss
from graphmeta.meta.fine_tuning import FineTuning
from graphmeta.tasks.episode import EpisodeBatch
from graphmeta.tasks.episode_loader import EpisodeLoader
from graphmeta.tasks.episode_sampler import EpisodeSampler

CHANNELS = 6
SEEN = torch.tensor(
    [
        [1, 1, 1, 0, 0, 1, 0, 0, 1],
        [0, 0, 0, 1, 1, 0, 1, 0, 0],
        [0, 1, 0, 0, 0, 1, 0, 1, 0],
        [1, 0, 0, 0, 1, 0, 0, 0, 0],
    ]
).float()
PARTS = ("all", "head", "bias", "adapters")


def tuned(encoder: nn.Module, part: str, **options: Any) -> FineTuning:
    with weights_drawn_by(1):
        return FineTuning(encoder, part=part, channels=CHANNELS, **options)


@pytest.mark.parametrize("part", PARTS)
def test_two_steps_are_those_of_plain_gradient_descent(
    part: str, encoder: nn.Module, episodes: EpisodeBatch, head: CatalogueHead
) -> None:
    learner = tuned(encoder, part, inner_steps=2, inner_lr=0.7).eval()
    fast = learner.adapt(episodes, head)
    x_dict = {t: x.detach() for t, x in head.x_dict(episodes).items()}
    for row, shown in ((0, [0, 1, 2]), (1, [3, 4]), (2, [5])):
        own = copy.deepcopy(learner.encoder)
        parameters = dict(own.named_parameters())
        optimizer = torch.optim.SGD([parameters[n] for n in learner.adapted_names], lr=0.7)
        for _ in range(2):
            z = own(
                {t: x[row] for t, x in x_dict.items()},
                {e: v[row] for e, v in episodes.edge_index_dict.items()},
                {e: v[row] for e, v in episodes.edge_attr_dict.items()},
            )["user"][0]
            product = head.curve(torch.tensor([len(shown)]))["product"]
            prior = head.vote.popularity(torch.tensor([-1])).log()
            scores = (product * (head.table.output @ z) / CHANNELS**0.5 + prior)[0]
            loss = -sum(scores.log_softmax(0)[item] for item in shown) / len(shown)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        for name, weight in fast.items():
            torch.testing.assert_close(weight[row], parameters[name], atol=1e-5, rtol=1e-4)
    moved = (fast[n][0] - w[0] for n, w in learner.shared_weights(4).items())
    assert max(float(m.detach().abs().max()) for m in moved) > 1e-3


def test_only_the_part_is_tuned(encoder: nn.Module) -> None:
    names = [name for name, _ in encoder.named_parameters()]
    assert tuned(encoder, "all").adapted_names == names
    head = tuned(encoder, "head").adapted_names
    assert head == [f"output.{t}.{kind}" for t in ("user", "item") for kind in ("weight", "bias")]
    biases = tuned(encoder, "bias").adapted_names
    assert {"layers.0.norm.user.bias", "output.item.bias"} <= set(biases)
    assert biases == [name for name in names if name.endswith(".bias")]
    assert tuned(encoder, "adapters", bottleneck=2).adapted_names == [
        f"adapters.user.{m}.{kind}" for m in ("down", "up") for kind in ("weight", "bias")
    ]
    assert FineTuning(encoder, adapt=("layers.*.shift.user",)).adapted_names == [
        "layers.0.shift.user",
        "layers.1.shift.user",
    ]
    # Some PyTorch modules put a prefix or a suffix to the name.
    attention = nn.MultiheadAttention(4, 2)
    assert FineTuning(attention, part="bias").adapted_names == ["in_proj_bias", "out_proj.bias"]


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("inner_loss", ["support", "leave_one_out"])
def test_keeps_the_contract(
    part: str, inner_loss: str, encoder: nn.Module, episodes: EpisodeBatch, head: CatalogueHead
) -> None:
    learner = tuned(encoder, part, inner_lr=1.0, inner_loss=inner_loss).eval()
    assert learner.min_support == (1 if inner_loss == "support" else 2)
    check_learner(learner, episodes, head)


@pytest.mark.parametrize("part", PARTS)
def test_training_never_adapts(
    part: str, encoder: nn.Module, episodes: EpisodeBatch, head: CatalogueHead
) -> None:
    learner = tuned(encoder, part, inner_lr=1.0).train()
    general = learner.score(episodes, learner.shared_weights(4), head)
    wanted = query_loss(general, episodes.support, SEEN)
    for is_adapted in (True, False):
        loss = learner.outer_loss(episodes, head, SEEN, is_adapted=is_adapted)
        torch.testing.assert_close(loss, wanted)
    loss.backward()
    (group,) = learner.parameter_groups(0.1)
    assert group["lr"] == 0.1
    assert {id(p) for p in group["params"]} == {id(p) for p in learner.encoder.parameters()}
    assert any(p.grad is not None and bool((p.grad != 0).any()) for p in group["params"])
    if part == "adapters":
        assert bool((learner.encoder.adapters["user"].up.weight.grad != 0).any())


def test_the_outer_gradient_is_the_true_one(
    encoder: nn.Module, double: tuple[EpisodeBatch, CatalogueHead]
) -> None:
    episodes, head = double
    learner = tuned(encoder, "adapters", bottleneck=1).double().train()
    seen = SEEN.double()

    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.learner = learner

        def forward(self) -> Tensor:
            return self.learner.outer_loss(episodes, head, seen, is_adapted=True)

    names = ("adapters.user.up.weight", "adapters.user.down.bias", "encoder.output.user.bias")
    parameters = dict(learner.encoder.named_parameters())

    def outer(*values: Tensor) -> Tensor:
        state = {f"learner.encoder.{n}": v for n, v in zip(names, values, strict=True)}
        return torch.func.functional_call(Outer(), state, ())

    start = [parameters[n].detach() + 0.3 for n in names]
    assert torch.autograd.gradcheck(outer, [value.requires_grad_() for value in start])


@pytest.mark.parametrize("part", PARTS)
def test_padding_and_order_of_the_support_do_not_matter(
    part: str, encoder: nn.Module, graph: HeteroData, head: CatalogueHead
) -> None:
    learner = tuned(encoder, part, inner_lr=1.0).eval()
    sampler = EpisodeSampler(graph, num_neighbors=(-1, -1))
    scores = []
    for support in ([[3, 4, 0], [0, 1, 2]], [[4, 0, 3, -1], [0, 1, 2, 6]]):
        one = sampler.sample(Support(torch.tensor(support)), generator=torch.Generator())
        # The order of arrival is a relation feature.
        attr = {e: torch.zeros_like(x) for e, x in one.edge_attr_dict.items()}
        one = replace(one, edge_attr_dict=attr)
        scores.append(learner.score(one, learner.adapt(one, head), head)[0])
    torch.testing.assert_close(scores[0], scores[1], atol=1e-5, rtol=1e-4)


def test_other_steps_share_the_general_model(
    encoder: nn.Module, episodes: EpisodeBatch, head: CatalogueHead
) -> None:
    learner = tuned(encoder, "adapters", is_batched=False, inner_loss="leave_one_out").eval()
    other = learner.with_steps(inner_steps=3, inner_lr=0.5)
    assert other.encoder is learner.encoder
    assert not other.training
    assert (other.inner_steps, other.inner_lr, learner.inner_steps) == (3, 0.5, 1)
    assert (other.is_batched, other.inner_loss) == (False, "leave_one_out")
    assert other.adapted_names == learner.adapted_names
    wanted = MAML(
        learner.encoder,
        adapt=learner.adapted_names,
        inner_steps=3,
        inner_lr=0.5,
    ).eval()
    for name, weight in wanted.adapt(episodes, head).items():
        torch.testing.assert_close(other.adapt(episodes, head)[name], weight)
    # Weights that were saved under one choice of steps load under another.
    learner.load_state_dict(copy.deepcopy(other.state_dict()))
    with pytest.raises(ConfigError, match="inner_steps=-1"):
        learner.with_steps(inner_steps=-1, inner_lr=0.5)


def test_is_trained_as_any_learner(
    encoder: nn.Module, graph: HeteroData, head: CatalogueHead
) -> None:
    loader = EpisodeLoader(graph, sampler=EpisodeSampler(graph, num_neighbors=(2, 2)))
    trainer = MetaTrainer(tuned(encoder, "bias"), head, loader, lr=0.01)
    for _ in range(5):
        trainer.run_epoch()
    assert trainer.losses[-1] < trainer.losses[0]


def test_bad_input(encoder: nn.Module) -> None:
    with pytest.raises(ConfigError, match="part='layer' must be one of"):
        FineTuning(encoder, part="layer")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"part='bias' and adapt=.* both say what"):
        FineTuning(encoder, part="bias", adapt=("*",))
    with pytest.raises(ConfigError, match="needs channels"):
        FineTuning(encoder, part="adapters")
    with pytest.raises(ConfigError, match=r"Linear has no parameter named bias, but \['weight'\]"):
        FineTuning(nn.Linear(2, 2, bias=False), part="bias")
    with pytest.raises(ConfigError, match="inner_lr=0"):
        FineTuning(encoder, inner_lr=0)
