"""The neural process against plain loops, and what may not change it."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.data import HeteroData

from graphmeta.data.cold_users import Support
from graphmeta.encoders import CatalogueHead
from graphmeta.encoders.weights_drawn_by import weights_drawn_by
from graphmeta.errors import ConfigError
from graphmeta.meta import MetaTrainer, check_learner, query_loss
from graphmeta.meta.neural_process import NeuralProcess
from graphmeta.tasks.episode import EpisodeBatch
from graphmeta.tasks.episode_loader import EpisodeLoader
from graphmeta.tasks.episode_sampler import EpisodeSampler

CHANNELS = 6
FILM = ("layers.*.scale.*", "layers.*.shift.*")
SHOWN: list[list[int]] = [[0, 1, 2], [3, 4], [5], []]
ROWS = [[0, 1, 2, 7], [3, 4, 8, 0], [5, 6], [2]]


@pytest.fixture
def seen() -> Tensor:
    """Every user's support and some more items."""
    return torch.stack([torch.zeros(9).index_fill(0, torch.tensor(i), 1.0) for i in ROWS])


def learner_of(encoder: nn.Module, **options: Any) -> NeuralProcess:
    """Return a learner that changes as much as a trained one may."""
    options = {"adapt": FILM, "latent": 3, "clusters": 2, **options}
    with weights_drawn_by(1):
        learner = NeuralProcess(encoder, channels=CHANNELS, **options)
    with torch.no_grad():
        learner.change.mul_(100)
        learner.mean.weight.mul_(5)
        learner.log_variance.weight.mul_(10)
        if learner.centres is not None:
            learner.centres.mul_(10)
    return learner


def plain_gaussian(
    learner: NeuralProcess, head: CatalogueHead, items: list[int]
) -> tuple[Tensor, Tensor]:
    """Mean and log-variance of the latent, item by item."""
    first, _, second = learner.item_map
    pooled = torch.zeros(CHANNELS)
    for item in items:
        inner = torch.relu(first.weight @ head.table.embedding[item] + first.bias)
        pooled = pooled + (second.weight @ inner + second.bias) / len(items)
    hidden = torch.relu(learner.hidden.weight @ pooled + learner.hidden.bias)
    mean, log_variance = learner.mean, learner.log_variance
    return (
        mean.weight @ hidden + mean.bias,
        log_variance.weight @ hidden + log_variance.bias,
    )


def plain_weights(learner: NeuralProcess, z: Tensor) -> dict[str, Tensor]:
    """One user's weights from the latent, number by number."""
    if learner.centres is not None:
        closeness = []
        for centre in learner.centres:
            squared = sum((a - b) ** 2 for a, b in zip(z, centre, strict=True))
            closeness.append(1 / (1 + squared))
        shares = [c / sum(closeness) for c in closeness]
        z = z + sum(a * c for a, c in zip(shares, learner.centres, strict=True))
    out, start = {}, 0
    for name, parameter in learner.encoder.named_parameters():
        if name not in learner.adapted_names:
            continue
        change = [
            sum(z[i] * learner.change[i, start + j] for i in range(len(z)))
            for j in range(parameter.numel())
        ]
        out[name] = parameter + torch.stack(change).view_as(parameter)
        start += parameter.numel()
    assert start == learner.change.size(1)
    return out


def plain_score(
    learner: NeuralProcess,
    head: CatalogueHead,
    episodes: EpisodeBatch,
    row: int,
    weights: dict[str, Tensor],
) -> Tensor:
    x = {t: v[row] for t, v in head.x_dict(episodes).items()}
    edges = {e: v[row] for e, v in episodes.edge_index_dict.items()}
    attr = {e: v[row] for e, v in episodes.edge_attr_dict.items()}
    z = torch.func.functional_call(learner.encoder, weights, (x, edges, attr))["user"][:1]
    return head(z, episodes[row : row + 1])[0]


@pytest.mark.parametrize("clusters", [0, 2])
def test_each_user_gets_the_hand_written_weights_and_scores(
    clusters: int, encoder: nn.Module, episodes: EpisodeBatch, head: CatalogueHead
) -> None:
    learner = learner_of(encoder, clusters=clusters).eval()
    fast = learner.adapt(episodes, head)
    scores = learner.score(episodes, fast, head)
    assert set(fast) == set(learner.adapted_names)
    for row, shown in enumerate(SHOWN):
        wanted = {n: p for n, p in encoder.named_parameters() if n in fast}
        if shown:
            wanted = plain_weights(learner, plain_gaussian(learner, head, shown)[0])
        for name, weight in wanted.items():
            torch.testing.assert_close(fast[name][row], weight, atol=1e-5, rtol=1e-4)
        plain = plain_score(learner, head, episodes, row, wanted)
        torch.testing.assert_close(scores[row], plain, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("is_drawn", [True, False])
def test_the_outer_loss_is_the_hand_written_bound(
    is_drawn: bool, encoder: nn.Module, episodes: EpisodeBatch, head: CatalogueHead, seen: Tensor
) -> None:
    learner = learner_of(encoder, kl_weight=0.7).train()
    generator = torch.Generator().manual_seed(4) if is_drawn else None
    found = learner.outer_loss(episodes, head, seen, is_adapted=True, generator=generator)
    noise = torch.zeros(4, 3)
    if is_drawn:
        noise = torch.randn(4, 3, generator=torch.Generator().manual_seed(4))
    scores, divergence = [], 0.0
    for row, (shown, items) in enumerate(zip(SHOWN, ROWS, strict=True)):
        weights: dict[str, Tensor] = {}
        if shown:
            mean, log_variance = plain_gaussian(learner, head, items)
            z = mean + (0.5 * log_variance).exp() * noise[row]
            weights = plain_weights(learner, z)
            moments = (mean, log_variance, *plain_gaussian(learner, head, shown))
            for a, b, c, d in zip(*(m.tolist() for m in moments), strict=True):
                divergence += 0.5 * (d - b - 1 + (math.exp(b) + (a - c) ** 2) / math.exp(d))
        scores.append(plain_score(learner, head, episodes, row, weights))
    wanted = query_loss(torch.stack(scores), episodes.support, seen)
    assert divergence > 0.1
    # The user without support has no latent.
    torch.testing.assert_close(found, wanted + 0.7 * divergence / 3, atol=1e-5, rtol=1e-5)


def test_a_new_user_is_not_drawn_and_unadapted_users_have_no_divergence(
    encoder: nn.Module, episodes: EpisodeBatch, head: CatalogueHead, seen: Tensor
) -> None:
    learner = learner_of(encoder, kl_weight=9.0)
    scores = learner.score(episodes, learner.shared_weights(4), head)
    plain = query_loss(scores, episodes.support, seen)
    generator = torch.Generator().manual_seed(0)
    found = learner.train().outer_loss(episodes, head, seen, is_adapted=False, generator=generator)
    torch.testing.assert_close(found, plain)
    scores = learner.eval().score(episodes, learner.adapt(episodes, head), head)
    found = learner.outer_loss(episodes, head, seen, is_adapted=True, generator=generator)
    torch.testing.assert_close(found, query_loss(scores, episodes.support, seen))
    assert torch.equal(generator.get_state(), torch.Generator().manual_seed(0).get_state())


class Outer(nn.Module):
    """The outer loss as a module, so that a functional call can replace its parameters."""

    def __init__(self, learner: NeuralProcess) -> None:
        super().__init__()
        self.learner = learner

    def forward(self, episodes: EpisodeBatch, head: CatalogueHead, seen: Tensor) -> Tensor:
        generator = torch.Generator().manual_seed(2)
        return self.learner.outer_loss(episodes, head, seen, is_adapted=True, generator=generator)


def test_the_outer_gradient_is_the_true_one(
    encoder: nn.Module, double: tuple[EpisodeBatch, CatalogueHead], seen: Tensor
) -> None:
    learner = learner_of(encoder.double(), adapt=("output.user.bias",), kl_weight=0.3)
    learner = learner.double().train()
    names = ("mean.bias", "log_variance.bias", "change", "centres", "item_map.0.bias")
    names = (*names, "encoder.output.user.bias")

    def outer(*values: Tensor) -> Tensor:
        state = {f"learner.{n}": v for n, v in zip(names, values, strict=True)}
        return torch.func.functional_call(Outer(learner), state, (*double, seen))

    state = learner.state_dict()
    start = [state[name].detach().clone().requires_grad_() for name in names]
    assert torch.autograd.gradcheck(outer, start)


def test_the_outer_gradient_reaches_encoder_and_learner(
    encoder: nn.Module, episodes: EpisodeBatch, head: CatalogueHead, seen: Tensor
) -> None:
    with weights_drawn_by(0):
        learner = NeuralProcess(encoder, channels=CHANNELS, clusters=2).train()
    generator = torch.Generator().manual_seed(0)
    learner.outer_loss(episodes, head, seen, is_adapted=True, generator=generator).backward()
    groups = learner.parameter_groups(0.1)
    assert [group["lr"] for group in groups] == [0.1, 1.0]
    held = [parameter for group in groups for parameter in group["params"]]
    assert len(held) == len({id(p) for p in held})
    assert {id(p) for p in held} == {id(p) for p in learner.parameters()}
    own = {n: p.grad for n, p in learner.named_parameters() if not n.startswith("encoder.")}
    assert all(g is not None and bool((g != 0).any()) for g in own.values())
    assert all(p.grad is not None for p in encoder.layers[0].parameters())
    # The items' own embeddings learn what their taste is.
    assert bool((head.table.embedding.grad != 0).any())


def test_neither_order_nor_padding_of_the_support_matters(
    encoder: nn.Module, graph: HeteroData, head: CatalogueHead
) -> None:
    learner = learner_of(encoder).eval()
    sampler = EpisodeSampler(graph, num_neighbors=(-1, -1))
    scores = []
    for support in ([[3, 4], [0, 1]], [[4, 3, -1, -1], [0, 1, 2, 6]]):
        batch = sampler.sample(Support(torch.tensor(support)), generator=torch.Generator())
        scores.append(learner.score(batch, learner.adapt(batch, head), head)[0])
    torch.testing.assert_close(scores[0], scores[1], atol=1e-5, rtol=1e-4)


def test_a_support_and_its_row_have_the_same_latent(
    encoder: nn.Module, episodes: EpisodeBatch, head: CatalogueHead
) -> None:
    learner = learner_of(encoder)
    one = learner.of_support(episodes.support, head)
    other = learner.of_rows(episodes.support.to_dense(9), head)
    torch.testing.assert_close(one.mean, other.mean)
    torch.testing.assert_close(one.stddev, other.stddev)
    assert bool((one.mean[0] - one.mean[1]).abs().max() > 0.01)


OPTIONS: dict[str, dict[str, Any]] = {
    "scales and shifts": {},
    "no centres": {"clusters": 0},
    "all weights": {"adapt": ("*",)},
    "one by one": {"is_batched": False},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_keeps_the_contract(
    name: str, encoder: nn.Module, episodes: EpisodeBatch, head: CatalogueHead
) -> None:
    with weights_drawn_by(0):  # As it starts, too.
        fresh = NeuralProcess(encoder, channels=CHANNELS, **OPTIONS[name])
    for learner in (fresh, learner_of(encoder, **OPTIONS[name])):
        assert learner.is_adaptive
        assert learner.min_support == 1
        check_learner(learner.eval(), episodes, head)


def test_a_fresh_learner_starts_at_the_shared_weights(
    encoder: nn.Module, episodes: EpisodeBatch, head: CatalogueHead, graph: HeteroData
) -> None:
    with weights_drawn_by(0):
        learner = NeuralProcess(encoder, channels=CHANNELS, clusters=4)
    shared = learner.shared_weights(4)
    for name, weight in learner.adapt(episodes, head).items():
        gap = (weight - shared[name]).abs().reshape(4, -1).amax(1)
        assert bool(((gap[:3] > 0) & (gap[:3] < 0.1)).all())
        assert bool(gap[3] == 0)
    none = Support(torch.empty(2, 0, dtype=torch.long))
    empty = EpisodeSampler(graph).sample(none, generator=torch.Generator())
    fast = learner.adapt(empty, head)
    assert all(torch.equal(fast[n], w) for n, w in learner.shared_weights(2).items())


def test_training_lowers_the_loss_and_moves_the_changes(
    encoder: nn.Module, graph: HeteroData, head: CatalogueHead
) -> None:
    with weights_drawn_by(0):
        learner = NeuralProcess(encoder, channels=CHANNELS, adapt=FILM, clusters=2)
    before = learner.change.detach().clone()
    loader = EpisodeLoader(graph, sampler=EpisodeSampler(graph, num_neighbors=(2, 2)))
    trainer = MetaTrainer(learner, head, loader, lr=0.01, adapted_share=1.0)
    for _ in range(5):
        trainer.run_epoch()
    assert trainer.losses[-1] < trainer.losses[0]
    assert float((learner.change - before).abs().mean().detach()) > 1e-3


def test_bad_input(encoder: nn.Module, episodes: EpisodeBatch, head: CatalogueHead) -> None:
    with pytest.raises(ConfigError, match=r"'head\.\*' matches no parameter"):
        NeuralProcess(encoder, channels=CHANNELS, adapt=("head.*",))
    with pytest.raises(ConfigError, match="adapt is empty"):
        NeuralProcess(encoder, channels=CHANNELS, adapt=())
    with pytest.raises(ConfigError, match="channels=0 and latent=16 must be at least 1"):
        NeuralProcess(encoder, channels=0)
    with pytest.raises(ConfigError, match="latent=0 must be at least 1"):
        NeuralProcess(encoder, channels=CHANNELS, latent=0)
    with pytest.raises(ConfigError, match="clusters=-1 and"):
        NeuralProcess(encoder, channels=CHANNELS, clusters=-1)
    with pytest.raises(ConfigError, match="kl_weight=nan must be 0 or more"):
        NeuralProcess(encoder, channels=CHANNELS, kl_weight=math.nan)
    with pytest.raises(ConfigError, match="channels=5, but the head's embeddings are 6 wide"):
        NeuralProcess(encoder, channels=5).adapt(episodes, head)
