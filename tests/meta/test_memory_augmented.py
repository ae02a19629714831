"""Memories against plain loops, and what they may not change."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.data import HeteroData

from graphmeta.data.cold_users import Support
from graphmeta.encoders import CatalogueHead
from graphmeta.encoders.weights_drawn_by import weights_drawn_by
from graphmeta.errors import ConfigError, EncoderError
from graphmeta.meta import MAML, MetaTrainer, check_learner, maml
from graphmeta.meta.memory_augmented import MATRIX, MemoryAugmented
from graphmeta.tasks.episode import EpisodeBatch
from graphmeta.tasks.episode_loader import EpisodeLoader
from graphmeta.tasks.episode_sampler import EpisodeSampler

CHANNELS = 6
ADAPT = ("output.user.*",)
SHOWN = [[0, 1, 2], [3, 4], [5]]


def learner_of(encoder: nn.Module, **options: Any) -> MemoryAugmented:
    """Return a learner whose memories hold as much as trained ones may."""
    with weights_drawn_by(1):
        learner = MemoryAugmented(encoder, channels=CHANNELS, **{"slots": 3, **options})
    with torch.no_grad():
        learner.weights.mul_(30)
        learner.cube.mul_(30)
    return learner


def embedded(
    learner: MemoryAugmented,
    weights: dict[str, Tensor],
    matrix: Tensor,
    x_dict: dict[str, Tensor],
    graph: list[dict[Any, Tensor]],
) -> Tensor:
    """Return one user's transformed embedding, number by number."""
    z = torch.func.functional_call(learner.encoder, weights, (x_dict, *graph))["user"][0]
    c = range(CHANNELS)
    return torch.stack([z[i] + sum(matrix[i, j] * z[j] for j in c) for i in c])


def test_the_start_and_a_step_are_the_hand_written_ones(
    encoder: nn.Module, episodes: EpisodeBatch, head: CatalogueHead
) -> None:
    head.requires_grad_(False)
    learner = learner_of(encoder, adapt=ADAPT, tau=0.7, inner_steps=1, inner_lr=0.5).eval()
    fast, start = learner.adapt(episodes, head), learner.initial_weights(episodes, head)
    shared = {n: p.detach() for n, p in encoder.named_parameters() if n in learner.adapted_names}
    x_dict = head.x_dict(episodes)
    for row, shown in enumerate(SHOWN):
        x = {t: v[row] for t, v in x_dict.items()}
        edges = [episodes.edge_index_dict, episodes.edge_attr_dict]
        whole = [{e: v[row] for e, v in part.items()} for part in edges]
        profile = encoder(x, *whole)["user"][0].tolist()
        share = []
        for slot in learner.profiles.tolist():
            dot = sum(a * b for a, b in zip(profile, slot, strict=True))
            share.append(math.exp(dot / (math.hypot(*profile) * math.hypot(*slot))))
        share = [value / sum(share) for value in share]
        offset = sum(a * m for a, m in zip(share, learner.weights.detach(), strict=True))
        matrix = sum(a * m for a, m in zip(share, learner.cube.detach(), strict=True))
        weights = {
            "output.user.weight": shared["output.user.weight"] - 0.7 * offset[:36].view(6, 6),
            "output.user.bias": shared["output.user.bias"] - 0.7 * offset[36:],
        }
        for name, wanted in {**weights, MATRIX: matrix}.items():
            torch.testing.assert_close(start[name][row], wanted, atol=1e-5, rtol=1e-4)
        loss = torch.zeros(())
        inputs = [v.clone().requires_grad_() for v in (*weights.values(), matrix)]
        if len(shown) > 1:
            for k, target in enumerate(shown):
                index = {e: torch.cat([v[:, :k], v[:, k + 1 :]], 1) for e, v in whole[0].items()}
                attr = {e: torch.cat([v[:k], v[k + 1 :]]) for e, v in whole[1].items()}
                own = dict(zip(weights, inputs[:2], strict=True))
                z = embedded(learner, own, inputs[2], x, [index, attr])
                left = torch.tensor([len(shown) - 1])
                product = head.curve(left)["product"] * (head.table.output @ z) / CHANNELS**0.5
                scores = (product + head.vote.popularity(left - 9).log())[0]
                loss = loss - scores.log_softmax(0)[target] / len(shown)
            gradients = torch.autograd.grad(loss, inputs)
            assert all(float(g.abs().max()) > 1e-4 for g in gradients)
            inputs = [v - 0.5 * g for v, g in zip(inputs, gradients, strict=True)]
        for name, wanted in zip((*weights, MATRIX), inputs, strict=True):
            torch.testing.assert_close(fast[name][row], wanted, atol=1e-5, rtol=1e-4)
        # What is scored is the transformed embedding.
        own = dict(zip(weights, inputs[:2], strict=True))
        z = embedded(learner, own, inputs[2], x, whole)
        found = learner.encode(episodes, fast, x_dict)[row]
        torch.testing.assert_close(found, z, atol=1e-5, rtol=1e-4)


def test_with_empty_memories_it_is_maml(
    encoder: nn.Module, episodes: EpisodeBatch, head: CatalogueHead
) -> None:
    learner = learner_of(encoder, inner_steps=1, inner_lr=0.4).eval()
    with torch.no_grad():
        learner.weights.zero_()
        learner.cube.zero_()
    wanted = MAML(encoder, inner_steps=1, inner_lr=0.4).eval().adapt(episodes, head)
    found = learner.adapt(episodes, head)
    for name, weight in wanted.items():
        torch.testing.assert_close(found[name], weight)
    assert set(found) == {*wanted, MATRIX}


def test_who_has_shown_nothing_keeps_the_shared_weights(
    encoder: nn.Module, episodes: EpisodeBatch, head: CatalogueHead, graph: HeteroData
) -> None:
    learner = learner_of(encoder, inner_lr=0.5).eval()
    fast, shared = learner.adapt(episodes, head), learner.shared_weights(4)
    assert all(torch.equal(fast[n][3], shared[n][3]) for n in shared)
    assert float(fast[MATRIX][3].detach().abs().max()) == 0
    none = Support(torch.empty(2, 0, dtype=torch.long))
    empty = EpisodeSampler(graph).sample(none, generator=torch.Generator())
    assert MATRIX not in learner.adapt(empty, head)
    # With one edge there is a start, and nothing to hold out: no step is taken.
    start = learner.initial_weights(episodes, head)
    assert all(torch.equal(fast[n][2], start[n][2]) for n in fast)
    assert any(not torch.equal(fast[n][2], shared[n][2]) for n in shared)
    one = EpisodeSampler(graph).sample(Support(torch.tensor([[5]])), generator=torch.Generator())
    fast, start = learner.adapt(one, head), learner.initial_weights(one, head)
    assert all(torch.equal(fast[n], start[n]) for n in fast)


OPTIONS: dict[str, dict[str, Any]] = {
    "maml": {},
    "no step": {"inner_steps": 0},
    "support loss": {"inner_loss": "support"},
    "one by one": {"is_batched": False},
    "few": {"adapt": ("layers.*.scale.*", "layers.*.shift.*"), "slots": 1},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_keeps_the_contract(
    name: str, encoder: nn.Module, episodes: EpisodeBatch, head: CatalogueHead
) -> None:
    with weights_drawn_by(0):  # As they start, too.
        fresh = MemoryAugmented(encoder, channels=CHANNELS, **OPTIONS[name])
    for learner in (fresh, learner_of(encoder, inner_lr=0.5, **OPTIONS[name])):
        assert learner.is_adaptive
        assert learner.min_support == 1
        check_learner(learner.eval(), episodes, head)


@pytest.mark.parametrize("first_order", [True, False])
def test_the_outer_gradient_reaches_memories_encoder_and_step_sizes(
    first_order: bool, encoder: nn.Module, episodes: EpisodeBatch, head: CatalogueHead
) -> None:
    with weights_drawn_by(0):
        learner = MemoryAugmented(encoder, channels=CHANNELS, first_order=first_order).train()
    scores = learner.score(episodes, learner.adapt(episodes, head), head)
    nn.functional.cross_entropy(scores[:2], torch.tensor([7, 8])).backward()
    groups = learner.parameter_groups(0.1)
    assert [group["lr"] for group in groups] == [0.1, 1.0]
    held = [parameter for group in groups for parameter in group["params"]]
    assert {id(p) for p in held} == {id(p) for p in learner.parameters()}
    for own in (learner.profiles, learner.weights, learner.cube, learner.log_step_size):
        assert own.grad is not None
        assert bool((own.grad != 0).any())
    # The matrix's own step size learns as the others do.
    assert bool((learner.log_step_size.grad[:, -1] != 0).all())
    assert all(p.grad is not None for p in encoder.layers[0].parameters())


class Outer(nn.Module):
    """The outer loss as a module, so that a functional call can replace its parameters."""

    def __init__(self, learner: MemoryAugmented) -> None:
        super().__init__()
        self.learner = learner

    def forward(self, episodes: EpisodeBatch, head: CatalogueHead) -> Tensor:
        scores = self.learner.score(episodes, self.learner.adapt(episodes, head), head)
        return nn.functional.cross_entropy(scores[:3], torch.tensor([7, 8, 0]))


def test_the_outer_gradient_is_the_true_one(
    encoder: nn.Module, double: tuple[EpisodeBatch, CatalogueHead]
) -> None:
    options = {"adapt": ("output.user.bias",), "inner_steps": 1, "first_order": False}
    learner = learner_of(encoder.double(), slots=2, **options).double().train()
    names = ("profiles", "weights", "log_step_size", "encoder.output.user.bias")

    def outer(diagonal: Tensor, *values: Tensor) -> Tensor:
        state = dict(zip(names, values, strict=True))
        state["cube"] = learner.cube.detach() + torch.diag_embed(diagonal)
        own = {f"learner.{n}": v for n, v in state.items()}
        return torch.func.functional_call(Outer(learner), own, double)

    state = learner.state_dict()
    start = [0.1 * torch.ones(2, CHANNELS, dtype=torch.float64), *(state[n] for n in names)]
    assert torch.autograd.gradcheck(outer, [v.detach().clone().requires_grad_() for v in start])


def test_neither_padding_nor_the_order_of_slots_matters(
    encoder: nn.Module, graph: HeteroData, head: CatalogueHead
) -> None:
    learner = learner_of(encoder, inner_lr=0.5).eval()
    other = copy.deepcopy(learner)
    with torch.no_grad():
        for memory in (other.profiles, other.weights, other.cube):
            memory.copy_(memory[[2, 0, 1]])
    sampler = EpisodeSampler(graph, num_neighbors=(-1, -1))
    scores = []
    for one, support in (
        (learner, [[3, 4], [0, 1]]),
        (learner, [[3, 4, -1, -1], [0, 1, 2, 6]]),
        (other, [[3, 4], [0, 1]]),
    ):
        batch = sampler.sample(Support(torch.tensor(support)), generator=torch.Generator())
        scores.append(one.score(batch, one.adapt(batch, head), head)[0])
    for found in scores[1:]:
        torch.testing.assert_close(found, scores[0], atol=1e-5, rtol=1e-4)


def test_adapting_in_blocks_is_adapting_at_once(
    monkeypatch: pytest.MonkeyPatch, encoder: nn.Module, episodes: EpisodeBatch, head: CatalogueHead
) -> None:
    learner = learner_of(encoder, inner_lr=0.5)
    wanted = learner.eval().adapt(episodes, head)
    monkeypatch.setattr(maml, "VIEWS_AT_ONCE", 7)
    with torch.no_grad():
        found = learner.adapt(episodes, head)
    assert set(found) == set(wanted)
    for name, weight in found.items():
        assert not weight.requires_grad
        torch.testing.assert_close(weight, wanted[name].detach())


def test_training_fills_the_memories(
    encoder: nn.Module, graph: HeteroData, head: CatalogueHead
) -> None:
    with weights_drawn_by(0):
        learner = MemoryAugmented(encoder, channels=CHANNELS, adapt=ADAPT)
    before = copy.deepcopy(learner.state_dict())
    loader = EpisodeLoader(graph, sampler=EpisodeSampler(graph, num_neighbors=(2, 2)))
    trainer = MetaTrainer(learner, head, loader, lr=0.01, adapted_share=1.0)
    for _ in range(5):
        trainer.run_epoch()
    assert trainer.losses[-1] < trainer.losses[0]
    for name in ("profiles", "weights", "cube"):
        assert float((learner.state_dict()[name] - before[name]).abs().mean()) > 1e-3


def test_bad_input(encoder: nn.Module, episodes: EpisodeBatch, head: CatalogueHead) -> None:
    with pytest.raises(ConfigError, match="slots=0 must be at least 1"):
        MemoryAugmented(encoder, channels=CHANNELS, slots=0)
    with pytest.raises(ConfigError, match="channels=-1 must be at least 1"):
        MemoryAugmented(encoder, channels=-1)
    with pytest.raises(ConfigError, match="tau=0 must be above 0"):
        MemoryAugmented(encoder, channels=CHANNELS, tau=0)
    with pytest.raises(ConfigError, match="inner_steps=-1"):
        MemoryAugmented(encoder, channels=CHANNELS, inner_steps=-1)
    with pytest.raises(EncoderError, match="embeds a user in 6 numbers, not in channels=5"):
        MemoryAugmented(encoder, channels=5).adapt(episodes, head)
