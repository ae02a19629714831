"""The relation network against plain loops, and its bound on memory."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch_geometric.data import HeteroData

from graphmeta.data.cold_users import Support
from graphmeta.encoders import CatalogueHead
from graphmeta.encoders.weights_drawn_by import weights_drawn_by
from graphmeta.errors import ConfigError
from graphmeta.meta import check_learner, query_loss, relation_network
from graphmeta.meta.relation_network import RelationNetwork
from graphmeta.tasks.episode import EpisodeBatch
from graphmeta.tasks.episode_sampler import EpisodeSampler

CHANNELS = 6


@pytest.fixture
def learner(encoder: nn.Module) -> RelationNetwork:
    with weights_drawn_by(1):
        return RelationNetwork(encoder, channels=CHANNELS, hidden=3)


@pytest.fixture
def trained(learner: RelationNetwork) -> RelationNetwork:
    """Weights of a size that training would give them, and a curve that is not flat."""
    with torch.no_grad():
        learner.last.copy_(torch.tensor([0.8, -1.2, 0.5]))
        learner.curve.values["relation"].copy_(torch.tensor([1.0, 0.5, 0.4, 0.2]))
    return learner.eval()


def seen_of(episodes: EpisodeBatch) -> Tensor:
    query = torch.zeros(4, 9)
    query[[0, 0, 1, 1, 2, 3], [5, 7, 0, 8, 2, 6]] = 1.0
    return episodes.support.to_dense(9) + query


def test_scores_are_those_of_a_loop_over_pairs(
    trained: RelationNetwork, episodes: EpisodeBatch, head: CatalogueHead
) -> None:
    scores = trained.score(episodes, trained.adapt(episodes, head), head)
    z = trained.encode(episodes, {}, head.x_dict(episodes))
    wanted = head(z, episodes).clone()
    # The network on the concatenation [E_i; z; F_j], as the paper has it.
    first = torch.cat(
        [trained.support.weight, trained.context.weight, trained.candidate.weight], dim=1
    )
    for row, (shown, weight) in enumerate((([0, 1, 2], 0.5), ([3, 4], None), ([5], 1.0), ([], 0))):
        if weight is None:  # Between the knots at 1 and 3.
            weight = 1.0 - 0.5 * float(torch.tensor(2.0).log() / torch.tensor(3.0).log())
        for j in range(9):
            for i in shown:
                pair = torch.cat([head.table.embedding[i], z[row], head.table.output[j]])
                r = trained.last @ (first @ pair + trained.support.bias).relu()
                wanted[row, j] += weight * r / len(shown)
    torch.testing.assert_close(scores, wanted, atol=1e-5, rtol=1e-4)
    # Who has shown nothing is scored by the head.
    assert torch.equal(scores[3], head(z, episodes)[3])


def test_keeps_the_contract(
    trained: RelationNetwork, episodes: EpisodeBatch, head: CatalogueHead
) -> None:
    check_learner(trained, episodes, head)


def test_training_starts_at_the_head_and_learns_what_the_query_wants(
    learner: RelationNetwork, episodes: EpisodeBatch, head: CatalogueHead
) -> None:
    shared = learner.score(episodes, learner.shared_weights(4), head)
    start = learner.score(episodes, learner.adapt(episodes, head), head)
    assert 0 < float((start - shared).detach().abs().max()) < 0.05
    seen = seen_of(episodes)
    learner.encoder.requires_grad_(False)
    head.requires_grad_(False)
    optimizer = torch.optim.Adam([g for g in learner.parameter_groups(0.01) if g["params"]])
    losses = []
    for _ in range(40):
        loss = learner.outer_loss(episodes, head, seen, is_adapted=True)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    unadapted = learner.outer_loss(episodes, head, seen, is_adapted=False)
    assert losses[-1] < losses[0] - 0.1
    torch.testing.assert_close(unadapted, query_loss(shared, episodes.support, seen))


def test_the_outer_gradient_reaches_encoder_and_learner(
    learner: RelationNetwork, episodes: EpisodeBatch, head: CatalogueHead
) -> None:
    learner.outer_loss(episodes, head, seen_of(episodes), is_adapted=True).backward()
    groups = learner.parameter_groups(0.1)
    assert [group["lr"] for group in groups] == [0.1, 1.0]
    held = [parameter for group in groups for parameter in group["params"]]
    assert sorted(map(id, held)) == sorted(map(id, learner.parameters()))
    own = [learner.support, learner.context, learner.candidate, learner.curve]
    for parameter in [learner.last, *(p for module in own for p in module.parameters())]:
        assert parameter.grad is not None
        assert bool((parameter.grad != 0).any())
    encoder = [p.grad for p in learner.encoder.parameters() if p.grad is not None]
    assert any(bool((gradient != 0).any()) for gradient in encoder)


@pytest.mark.parametrize("units_at_once", [2**20, 40])
def test_the_outer_gradient_is_the_true_one(
    units_at_once: int,
    monkeypatch: pytest.MonkeyPatch,
    trained: RelationNetwork,
    double: tuple[EpisodeBatch, CatalogueHead],
) -> None:
    monkeypatch.setattr(relation_network, "UNITS_AT_ONCE", units_at_once)
    episodes, head = double
    outer = _Outer(trained.double())
    names = [
        "support.bias",
        "candidate.weight",
        "last",
        "curve.values.relation",
        "encoder.output.user.bias",
    ]
    parameters = dict(trained.named_parameters())

    def loss(*values: Tensor) -> Tensor:
        state = {f"learner.{n}": v for n, v in zip(names, values, strict=True)}
        return torch.func.functional_call(outer, state, (episodes, head))

    start = [parameters[name].detach().clone().requires_grad_() for name in names]
    assert torch.autograd.gradcheck(loss, start)


class _Outer(nn.Module):
    def __init__(self, learner: RelationNetwork) -> None:
        super().__init__()
        self.learner = learner

    def forward(self, episodes: EpisodeBatch, head: CatalogueHead) -> Tensor:
        seen = seen_of(episodes).double()
        return self.learner.outer_loss(episodes, head, seen, is_adapted=True)


# One item at a time, a few, a few users with all items, all at once.
@pytest.mark.parametrize("units_at_once", [1, 40, 200, 2**20])
def test_blocks_change_neither_scores_nor_gradients(
    units_at_once: int,
    monkeypatch: pytest.MonkeyPatch,
    trained: RelationNetwork,
    episodes: EpisodeBatch,
    head: CatalogueHead,
) -> None:
    def run() -> tuple[Tensor, list[Tensor]]:
        trained.zero_grad()
        trained.outer_loss(episodes, head, seen_of(episodes), is_adapted=True).backward()
        with torch.no_grad():
            scores = trained.score(episodes, trained.adapt(episodes, head), head)
        return scores, [p.grad.clone() for p in trained.parameters() if p.grad is not None]

    wanted = run()
    monkeypatch.setattr(relation_network, "UNITS_AT_ONCE", units_at_once)
    for a, b in zip(run(), wanted, strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-4)


class _Largest(TorchDispatchMode):
    """Notes the elements of the largest tensor that any operation returns."""

    n = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, (tuple, list)) else (out,):
            if isinstance(tensor, Tensor):
                self.n = max(self.n, tensor.numel())
        return out


# Blocks of two users with all items, then of one user with two thirds of the items.
@pytest.mark.parametrize(("n", "bound"), [(20, 9000), (3, 3000)])
def test_memory_is_bounded_with_and_without_gradients(
    n: int, bound: int, monkeypatch: pytest.MonkeyPatch, trained: RelationNetwork
) -> None:
    monkeypatch.setattr(relation_network, "UNITS_AT_ONCE", bound)
    generator = torch.Generator().manual_seed(0)
    shown = torch.randn(n, 5, 3, generator=generator).requires_grad_()
    items = torch.randn(300, CHANNELS, generator=generator)
    mask = torch.ones(n, 5, dtype=torch.bool)
    saved: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        saved[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes() // 4
        return tensor

    with _Largest() as largest, torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        trained.relation(shown, mask, items).sum().backward()
    assert shown.grad is not None
    # All hidden units are 4500 n; none of them waits for the backward pass.
    assert largest.n == bound
    assert sum(saved.values()) < min(bound, 2 * 300 * (CHANNELS + 3))
    with _Largest() as largest, torch.no_grad():
        trained.relation(shown, mask, items)
    assert largest.n == bound


def test_padding_and_order_change_no_score(
    graph: HeteroData, trained: RelationNetwork, head: CatalogueHead
) -> None:
    sampler = EpisodeSampler(graph, num_neighbors=(-1, -1))
    scores = []
    for support in ([[3, 4], [0, 1]], [[4, -1, 3, -1], [0, 1, 2, 6]]):
        one = sampler.sample(Support(torch.tensor(support)), generator=torch.Generator())
        scores.append(trained.score(one, trained.adapt(one, head), head)[0])
    torch.testing.assert_close(scores[0], scores[1], atol=1e-5, rtol=1e-4)


def test_a_batch_that_shows_nothing_is_scored_by_the_head(
    graph: HeteroData, trained: RelationNetwork, head: CatalogueHead
) -> None:
    support = Support(torch.empty(2, 0, dtype=torch.long))
    none = EpisodeSampler(graph, num_neighbors=(2, 2)).sample(support, generator=torch.Generator())
    scores = trained.score(none, trained.adapt(none, head), head)
    assert torch.equal(scores, trained.score(none, trained.shared_weights(2), head))
    scores.sum().backward()
    assert trained.last.grad is not None
    assert not bool(trained.last.grad.any())


def test_first_weights_follow_the_callers_draw(encoder: nn.Module) -> None:
    made = []
    for seed in (5, 5, 6):
        with weights_drawn_by(seed):
            made.append(RelationNetwork(encoder, channels=CHANNELS))
    assert torch.equal(made[0].last, made[1].last)
    assert not torch.equal(made[0].last, made[2].last)


def test_weights_survive_a_round_trip(
    encoder: nn.Module, trained: RelationNetwork, episodes: EpisodeBatch, head: CatalogueHead
) -> None:
    other = RelationNetwork(copy.deepcopy(encoder), channels=CHANNELS, hidden=3).eval()
    other.load_state_dict(trained.state_dict())
    wanted = trained.score(episodes, trained.adapt(episodes, head), head)
    assert torch.equal(other.score(episodes, other.adapt(episodes, head), head), wanted)


def test_bad_input(encoder: nn.Module, episodes: EpisodeBatch, head: CatalogueHead) -> None:
    with pytest.raises(ConfigError, match="channels=0 and hidden=8 must be at least 1"):
        RelationNetwork(encoder, channels=0)
    with pytest.raises(ConfigError, match="channels=6 and hidden=0 must be at least 1"):
        RelationNetwork(encoder, channels=CHANNELS, hidden=0)
    wide = RelationNetwork(encoder, channels=8)
    with pytest.raises(ConfigError, match=r"channels=8, but .* are 6 wide; pass channels=6"):
        wide.adapt(episodes, head)
