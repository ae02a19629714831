"""The learnt inner loss against plain loops, and that it learns."""

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
from graphmeta.meta.meta_critic import MetaCritic
from graphmeta.tasks.episode import EpisodeBatch
from graphmeta.tasks.episode_loader import EpisodeLoader
from graphmeta.tasks.episode_sampler import EpisodeSampler

CHANNELS = 6
ADAPT = ("output.user.*",)
SHOWN: list[list[int]] = [[0, 1, 2], [3, 4], [5], []]


def learner_of(encoder: nn.Module, **options: Any) -> MetaCritic:
    """Return a learner whose critic says as much as a trained one may."""
    options = {"hidden": 5, "inner_lr": 0.5, **options}
    with weights_drawn_by(1):
        learner = MetaCritic(encoder, channels=CHANNELS, **options)
    with torch.no_grad():
        learner.critic[2].weight.mul_(100)
    return learner


def plain_scores(
    learner: MetaCritic,
    head: CatalogueHead,
    episodes: EpisodeBatch,
    row: int,
    weights: dict[str, Tensor],
    hidden: int | None = None,
) -> Tensor:
    """One user's inner scores, with one support edge out of the subgraph or none."""
    shown = len(SHOWN[row]) - (hidden is not None)
    edges, attr = (
        {e: v[row] for e, v in part.items()}
        for part in (episodes.edge_index_dict, episodes.edge_attr_dict)
    )
    if hidden is not None:
        edges = {e: torch.cat([v[:, :hidden], v[:, hidden + 1 :]], 1) for e, v in edges.items()}
        attr = {e: torch.cat([v[:hidden], v[hidden + 1 :]]) for e, v in attr.items()}
    x = {t: v[row] for t, v in head.x_dict(episodes).items()}
    z = torch.func.functional_call(learner.encoder, weights, (x, edges, attr))["user"][0]
    product = head.curve(torch.tensor([shown]))["product"] * (head.table.output @ z)
    prior = head.vote.popularity(torch.tensor([-1])).log()
    return (product / CHANNELS**0.5 + prior)[0] + head.bias


def plain_critic(
    learner: MetaCritic, head: CatalogueHead, scores: Tensor, items: list[int], z: Tensor
) -> Tensor:
    """The critic's loss of one user, item by item."""
    first, _, last = learner.critic
    popularity = (head.vote.item_degree + 1) / (head.vote.item_degree + 1).sum()
    normaliser = sum(scores[j].exp() for j in items)
    total = torch.zeros(())
    for j in items:
        share = len(items) * scores[j].exp() / normaliser
        told = torch.stack([share.log(), (9 * popularity[j]).log()])
        inner = first.weight @ torch.cat([told, learner.task.weight @ z]) + first.bias
        # GELU: the input times the normal distribution function.
        inner = inner * 0.5 * (1 + torch.erf(inner / math.sqrt(2)))
        total = total + (last.weight @ inner)[0] / len(items)
    return total


@pytest.mark.parametrize(("unlabelled", "inner_loss"), [(4, "leave_one_out"), (99, "support")])
def test_two_steps_are_the_hand_written_ones(
    unlabelled: int,
    inner_loss: str,
    encoder: nn.Module,
    episodes: EpisodeBatch,
    head: CatalogueHead,
) -> None:
    options = {"unlabelled": unlabelled, "inner_loss": inner_loss, "adapt": ADAPT}
    learner = learner_of(encoder, inner_steps=2, **options).eval()
    fast = learner.adapt(episodes, head)
    items = learner.unlabelled_items(head).tolist()
    shared = {n: p.detach() for n, p in encoder.named_parameters() if n in learner.adapted_names}
    z = learner.encode(episodes, {}, head.x_dict(episodes)).detach()
    for row, shown in enumerate(SHOWN):
        weights = {n: p.clone().requires_grad_() for n, p in shared.items()}
        for _ in range(2 if shown else 0):
            scores = plain_scores(learner, head, episodes, row, weights)
            loss = plain_critic(learner, head, scores, items, z[row])
            gradients = torch.autograd.grad(loss, list(weights.values()), retain_graph=True)
            assert all(float(g.abs().max()) > 1e-4 for g in gradients)
            for k, target in enumerate(shown):
                if inner_loss == "leave_one_out":
                    if len(shown) < 2:
                        continue
                    scores = plain_scores(learner, head, episodes, row, weights, hidden=k)
                loss = loss - scores.log_softmax(0)[target] / len(shown)
            gradients = torch.autograd.grad(loss, list(weights.values()))
            weights = {n: w - 0.5 * g for (n, w), g in zip(weights.items(), gradients, strict=True)}
        for name, wanted in weights.items():
            torch.testing.assert_close(fast[name][row], wanted, atol=1e-5, rtol=1e-4)


def test_a_silent_critic_leaves_maml(
    encoder: nn.Module, episodes: EpisodeBatch, head: CatalogueHead
) -> None:
    learner = learner_of(encoder).eval()
    nn.init.zeros_(learner.critic[2].weight)
    wanted = MAML(encoder, inner_lr=0.5).eval().adapt(episodes, head)
    found = learner.adapt(episodes, head)
    for name, weight in wanted.items():
        torch.testing.assert_close(found[name], weight)


def test_the_critic_starts_with_a_whisper(
    encoder: nn.Module, episodes: EpisodeBatch, head: CatalogueHead
) -> None:
    with weights_drawn_by(0):
        learner = MetaCritic(encoder, channels=CHANNELS, inner_steps=1, inner_lr=1.0).eval()
    wanted = MAML(encoder, inner_steps=1, inner_lr=1.0).eval().adapt(episodes, head)
    found, shared = learner.adapt(episodes, head), learner.shared_weights(4)
    gap = torch.stack([(found[n] - wanted[n]).abs().max() for n in wanted]).max()
    assert 0 < gap < 0.05 * max((wanted[n] - shared[n]).abs().max() for n in wanted)
    check_learner(learner, episodes, head)


def test_unlabelled_items_are_spread_over_the_popularity(
    encoder: nn.Module, head: CatalogueHead
) -> None:
    learner = learner_of(encoder, unlabelled=4)
    head.vote.item_degree.copy_(torch.tensor([0.0, 9, 1, 3, 0, 0, 0, 2, 0]))
    # One more each: 10, 4, 3 and 2 of 24 for items 1, 3, 7 and 2; the rest follow by row.
    assert learner.unlabelled_items(head).tolist() == [1, 1, 7, 4]
    count = torch.zeros(9)
    generator = torch.Generator().manual_seed(0)
    for _ in range(600):
        drawn = learner.train().unlabelled_items(head, generator)
        assert drawn[0] == 1  # The whole first share.
        count += drawn.bincount(minlength=9)
    share = (head.vote.item_degree + 1) / 24
    torch.testing.assert_close(count / count.sum(), share, atol=0.02, rtol=0)
    assert learner.eval().unlabelled_items(head, generator).tolist() == [1, 1, 7, 4]
    assert sorted(learner_of(encoder, unlabelled=9).unlabelled_items(head)) == list(range(9))


class Outer(nn.Module):
    """The outer loss as a module, so that a functional call can replace its parameters."""

    def __init__(self, learner: MetaCritic) -> None:
        super().__init__()
        self.learner = learner

    def forward(self, episodes: EpisodeBatch, head: CatalogueHead) -> Tensor:
        scores = self.learner.score(episodes, self.learner.adapt(episodes, head), head)
        return nn.functional.cross_entropy(scores[:3], torch.tensor([7, 8, 0]))


@pytest.mark.parametrize(
    ("first_order", "names"),
    [
        # After one step the critic's gradient is exact at first order as well.
        (True, ("critic.0.bias", "critic.2.weight")),
        (False, ("critic.2.weight", "log_step_size", "encoder.output.user.bias")),
    ],
)
def test_the_outer_gradient_is_the_true_one(
    first_order: bool,
    names: tuple[str, ...],
    encoder: nn.Module,
    double: tuple[EpisodeBatch, CatalogueHead],
) -> None:
    steps = 1 if first_order else 2
    options = {"adapt": ADAPT, "inner_steps": steps, "first_order": first_order}
    learner = learner_of(encoder.double(), unlabelled=5, **options).double().train()
    if not first_order:  # What the critic is told of the task is a constant.
        nn.init.zeros_(learner.task.weight)

    def outer(*values: Tensor) -> Tensor:
        state = {f"learner.{n}": v for n, v in zip(names, values, strict=True)}
        return torch.func.functional_call(Outer(learner), state, double)

    state = learner.state_dict()
    start = [state[name].detach().clone().requires_grad_() for name in names]
    assert torch.autograd.gradcheck(outer, start)


@pytest.mark.parametrize("first_order", [True, False])
def test_the_outer_gradient_reaches_critic_encoder_and_step_sizes(
    first_order: bool, encoder: nn.Module, episodes: EpisodeBatch, head: CatalogueHead
) -> None:
    with weights_drawn_by(0):
        learner = MetaCritic(encoder, channels=CHANNELS, first_order=first_order).train()
    Outer(learner)(episodes, head).backward()
    groups = learner.parameter_groups(0.1)
    assert [group["lr"] for group in groups] == [0.1, 1.0]
    held = [parameter for group in groups for parameter in group["params"]]
    assert len(held) == len({id(p) for p in held})
    assert {id(p) for p in held} == {id(p) for p in learner.parameters()}
    own = {n: p.grad for n, p in learner.named_parameters() if not n.startswith("encoder.")}
    assert all(g is not None and bool((g != 0).any()) for g in own.values())
    assert all(p.grad is not None for p in encoder.layers[0].parameters())


def test_one_edge_is_enough_to_adapt_and_to_teach(
    encoder: nn.Module, graph: HeteroData, head: CatalogueHead
) -> None:
    learner = learner_of(encoder, adapt=ADAPT).train()
    sampler = EpisodeSampler(graph, num_neighbors=(-1, -1))
    one, padded = (
        sampler.sample(Support(torch.tensor(support)), generator=torch.Generator())
        for support in ([[5], [7]], [[5, -1, -1], [0, 1, 2]])
    )
    fast, shared = learner.adapt(one, head), learner.shared_weights(2)
    found = learner.adapt(padded, head)
    for name, weight in fast.items():
        assert bool(((weight - shared[name]).abs().flatten(1).amax(1) > 1e-4).all())
        torch.testing.assert_close(weight[0], found[name][0], atol=1e-5, rtol=1e-4)
    scores = learner.score(one, fast, head)
    nn.functional.cross_entropy(scores, torch.tensor([0, 1])).backward()
    assert bool((learner.critic[2].weight.grad != 0).all())


def test_neither_order_nor_padding_of_the_support_matters(
    encoder: nn.Module, graph: HeteroData, head: CatalogueHead
) -> None:
    learner = learner_of(encoder, unlabelled=4).eval()
    sampler = EpisodeSampler(graph, num_neighbors=(-1, -1))
    scores = []
    for support in ([[3, 4], [0, 1]], [[4, 3, -1, -1], [0, 1, 2, 6]]):
        batch = sampler.sample(Support(torch.tensor(support)), generator=torch.Generator())
        scores.append(learner.score(batch, learner.adapt(batch, head), head)[0])
    torch.testing.assert_close(scores[0], scores[1], atol=1e-5, rtol=1e-4)


OPTIONS: dict[str, dict[str, Any]] = {
    "all items": {},
    "some items": {"unlabelled": 3},
    "support loss": {"inner_loss": "support"},
    "one by one": {"is_batched": False, "adapt": ("layers.*.scale.*", "layers.*.shift.*")},
    "no step": {"inner_steps": 0},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_keeps_the_contract(
    name: str, encoder: nn.Module, episodes: EpisodeBatch, head: CatalogueHead
) -> None:
    learner = learner_of(encoder, **OPTIONS[name]).eval()
    assert learner.is_adaptive is (name != "no step")
    assert learner.min_support == 1
    check_learner(learner, episodes, head)


def test_adapting_in_blocks_is_adapting_at_once(
    monkeypatch: pytest.MonkeyPatch, encoder: nn.Module, episodes: EpisodeBatch, head: CatalogueHead
) -> None:
    learner = learner_of(encoder, unlabelled=4).eval()
    wanted = learner.adapt(episodes, head)
    monkeypatch.setattr(maml, "VIEWS_AT_ONCE", 7)
    with torch.no_grad():
        found = learner.adapt(episodes, head, generator=torch.Generator().manual_seed(0))
    for name, weight in found.items():
        assert not weight.requires_grad
        torch.testing.assert_close(weight, wanted[name].detach())


def test_training_teaches_the_critic(
    encoder: nn.Module, graph: HeteroData, head: CatalogueHead
) -> None:
    with weights_drawn_by(0):
        learner = MetaCritic(encoder, channels=CHANNELS, adapt=ADAPT, unlabelled=4)
    before = copy.deepcopy(learner.state_dict())
    loader = EpisodeLoader(graph, sampler=EpisodeSampler(graph, num_neighbors=(2, 2)))
    trainer = MetaTrainer(learner, head, loader, lr=0.01, adapted_share=1.0)
    for _ in range(5):
        trainer.run_epoch()
    assert trainer.losses[-1] < trainer.losses[0]
    for name in ("task.weight", "critic.0.weight", "critic.2.weight"):
        assert float((learner.state_dict()[name] - before[name]).abs().mean()) > 1e-3


def test_bad_input(encoder: nn.Module, episodes: EpisodeBatch, head: CatalogueHead) -> None:
    with pytest.raises(ConfigError, match="unlabelled=1 must be at least 2"):
        MetaCritic(encoder, channels=CHANNELS, unlabelled=1)
    with pytest.raises(ConfigError, match="channels=6 and hidden=0 must be at least 1"):
        MetaCritic(encoder, channels=CHANNELS, hidden=0)
    with pytest.raises(EncoderError, match="embeds a user in 6 numbers, not in channels=5"):
        MetaCritic(encoder, channels=5).adapt(episodes, head)
    with pytest.raises(EncoderError, match=r"none of the adapted parameters .*output\.item"):
        MetaCritic(encoder, channels=CHANNELS, adapt=("output.item.*",)).adapt(episodes, head)
