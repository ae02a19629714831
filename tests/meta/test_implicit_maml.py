"""iMAML against plain loops, dense solves and finite differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakSet

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.data import HeteroData

from graphmeta.data.cold_users import Support
from graphmeta.encoders import CatalogueHead
from graphmeta.errors import ConfigError
from graphmeta.meta import MAML, FastWeights, Learner, check_learner
from graphmeta.meta.implicit_maml import ImplicitMAML, conjugate_gradients
from graphmeta.tasks.episode import EpisodeBatch
from graphmeta.tasks.episode_sampler import EpisodeSampler

ADAPT = ("output.user.bias", "layers.*.scale.user")
TARGET = torch.tensor([7, 8, 1, 2])


@pytest.fixture
def curved(double: tuple[EpisodeBatch, CatalogueHead]) -> tuple[EpisodeBatch, CatalogueHead]:
    """Doubles whose item embeddings are large, so that the inner loss has some curvature."""
    episodes, head = double
    with torch.no_grad():
        head.table.output.mul_(10.0)
    return episodes, head


def plain_loss(
    encoder: nn.Module,
    head: CatalogueHead,
    episodes: EpisodeBatch,
    row: int,
    weights: FastWeights,
) -> Tensor:
    """The mean loss of one user's edges, each out of the subgraph in turn."""
    shown = episodes.support.item_index[row][episodes.support.mask[row]]
    losses = []
    for k, target in enumerate(shown):
        edges = {e: _without(v[row], k, 1) for e, v in episodes.edge_index_dict.items()}
        attr = {e: _without(v[row], k, 0) for e, v in episodes.edge_attr_dict.items()}
        x = {t: v[row] for t, v in head.x_dict(episodes).items()}
        z = torch.func.functional_call(encoder, weights, (x, edges, attr))["user"][0]
        product = head.curve(torch.tensor([len(shown) - 1]))["product"]
        prior = head.vote.popularity(torch.tensor([-1])).log()
        scores = (product * (head.table.output @ z) / head.table.channels**0.5 + prior)[0]
        losses.append(-scores.log_softmax(0)[target])
    return torch.stack(losses).mean()


def _without(values: Tensor, k: int, dim: int) -> Tensor:
    kept = [i for i in range(values.size(dim)) if i != k]
    return values.index_select(dim, torch.tensor(kept))


def outer(
    learner: Learner, fast: FastWeights, episodes: EpisodeBatch, head: CatalogueHead
) -> Tensor:
    scores = learner.score(episodes, fast, head)
    return nn.functional.cross_entropy(scores, TARGET[: len(scores)])


def gradients_of(
    learner: Learner, episodes: EpisodeBatch, head: CatalogueHead
) -> tuple[Tensor, ...]:
    parameters = dict(learner.encoder.named_parameters())
    theta = [parameters[name] for name in learner.adapted_names]
    loss = outer(learner, learner.adapt(episodes, head), episodes, head)
    return torch.autograd.grad(loss, theta)


def test_steps_descend_the_loss_and_the_way_back(
    encoder: nn.Module, curved: tuple[EpisodeBatch, CatalogueHead]
) -> None:
    episodes, head = curved
    options = {"adapt": ADAPT, "proximal": 0.8, "inner_steps": 3, "inner_lr": 0.75}
    learner = ImplicitMAML(encoder.double(), **options).double()
    found = learner.adapt(episodes, head)
    shared = {n: w[0].detach() for n, w in learner.shared_weights(4).items()}
    for row in (0, 1):
        weights = shared
        for _ in range(3):
            weights = {n: w.detach().requires_grad_() for n, w in weights.items()}
            way = sum((w - shared[n]).square().sum() for n, w in weights.items())
            cost = plain_loss(encoder, head, episodes, row, weights) + 0.8 / 2 * way
            slopes = torch.autograd.grad(cost, list(weights.values()))
            weights = {n: w - 0.75 * g for (n, w), g in zip(weights.items(), slopes, strict=True)}
        for name, weight in weights.items():
            torch.testing.assert_close(found[name][row], weight)
            assert float((weight - shared[name]).detach().abs().max()) > 1e-2


def test_the_outer_gradient_is_that_of_a_dense_solve(
    encoder: nn.Module, curved: tuple[EpisodeBatch, CatalogueHead]
) -> None:
    episodes, head = curved
    options = {"adapt": ADAPT, "proximal": 2.0, "inner_lr": 0.45, "cg_steps": 18}
    learner = ImplicitMAML(encoder.double(), **options).double().train()
    found = gradients_of(learner, episodes, head)
    phi = {n: w.detach().requires_grad_() for n, w in learner.adapt(episodes, head).items()}
    names, shapes = list(phi), [w[0].shape for w in phi.values()]
    outward = torch.autograd.grad(outer(learner, phi, episodes, head), list(phi.values()))
    total = torch.zeros(sum(shape.numel() for shape in shapes), dtype=torch.float64)
    moved = []
    for row in range(4):
        right = torch.cat([g[row].flatten() for g in outward])

        def loss(flat: Tensor, row: int = row) -> Tensor:
            parts = flat.split([shape.numel() for shape in shapes])
            weights = {n: p.view(s) for n, p, s in zip(names, parts, shapes, strict=True)}
            return plain_loss(encoder, head, episodes, row, weights)

        matrix = torch.eye(len(right), dtype=torch.float64)
        if row < 2:  # The others have too few edges: no inner loss.
            at = torch.cat([phi[n][row].detach().flatten() for n in names])
            matrix = matrix + torch.autograd.functional.hessian(loss, at) / 2.0
        solved = torch.linalg.solve(matrix, right)
        moved.append(float((solved - right).norm() / right.norm()))
        total = total + solved
    assert min(moved[:2]) > 0.1
    torch.testing.assert_close(torch.cat([g.flatten() for g in found]), total, atol=1e-8, rtol=1e-6)


def test_finite_differences_agree_where_the_inner_problem_is_solved(
    encoder: nn.Module, curved: tuple[EpisodeBatch, CatalogueHead]
) -> None:
    episodes, head = curved
    episodes = episodes[:2]
    options = {"proximal": 2.0, "inner_lr": 0.45, "inner_steps": 20, "cg_steps": 18}
    learner = ImplicitMAML(encoder.double(), adapt=ADAPT, **options).double().train()

    def at(bias: Tensor) -> Tensor:
        state = {"learner.encoder.output.user.bias": bias}
        return torch.func.functional_call(_Outer(learner), state, (episodes, head))

    start = encoder.output["user"].bias.detach().clone().requires_grad_()
    assert torch.autograd.gradcheck(at, (start,))
    (exact,) = torch.autograd.grad(at(start), start)
    learner.cg_steps = 0
    (first_order,) = torch.autograd.grad(at(start), start)
    assert float((exact - first_order).norm() / exact.norm()) > 0.05


class _Outer(nn.Module):
    def __init__(self, learner: Learner) -> None:
        super().__init__()
        self.learner = learner

    def forward(self, episodes: EpisodeBatch, head: CatalogueHead) -> Tensor:
        return outer(self.learner, self.learner.adapt(episodes, head), episodes, head)


def test_a_strong_pull_leaves_the_gradient_of_the_shared_weights(
    encoder: nn.Module, curved: tuple[EpisodeBatch, CatalogueHead]
) -> None:
    episodes, head = curved
    pulled = ImplicitMAML(encoder.double(), adapt=ADAPT, proximal=1e7, inner_lr=1e-7).double()
    idle = MAML(encoder, adapt=ADAPT, inner_steps=0)
    pairs = zip(
        gradients_of(pulled.train(), episodes, head),
        gradients_of(idle, episodes, head),
        strict=True,
    )
    for found, wanted in pairs:
        torch.testing.assert_close(found, wanted, atol=1e-6, rtol=1e-5)


def test_users_with_too_few_edges_pass_the_gradient_on(
    encoder: nn.Module, episodes: EpisodeBatch, head: CatalogueHead
) -> None:
    learner = ImplicitMAML(encoder, inner_lr=0.5).train()
    fast = learner.adapt(episodes, head)
    given = {n: torch.randn(w.shape, generator=torch.Generator()) for n, w in fast.items()}
    loss = sum((w[2:] * given[n][2:]).sum() for n, w in fast.items())
    found = torch.autograd.grad(loss, list(encoder.parameters()))
    torch.testing.assert_close(found, tuple(sent[2] + sent[3] for sent in given.values()))


def by_hand(matrix: Tensor, right: Tensor, steps: int) -> Tensor:
    """One user's conjugate gradients, as the books have them, up to a curvature not above 0."""
    x = right.clone()
    residual = right - matrix @ x
    direction = residual.clone()
    for _ in range(steps):
        curvature = direction @ matrix @ direction
        if not curvature > 0:
            break
        step = (residual @ residual) / curvature
        x = x + step * direction
        after = residual - step * matrix @ direction
        direction = after + (after @ after) / (residual @ residual) * direction
        residual = after
    return x


def test_conjugate_gradients_stop_user_by_user() -> None:
    generator = torch.Generator().manual_seed(0)
    root = torch.randn(5, 6, 6, generator=generator, dtype=torch.float64)
    matrix = torch.eye(6, dtype=torch.float64) + root @ root.mT / 6
    bent = torch.linalg.qr(root[1]).Q
    matrix[1] = bent @ torch.diag(torch.tensor([3.0, 2.0, 1.0, 1.0, 0.5, -0.4]).double()) @ bent.T
    matrix[2] = -torch.eye(6)
    matrix[3] = torch.eye(6)
    matrix[4, 0, 0] = float("nan")
    right = torch.randn(5, 6, generator=generator, dtype=torch.float64)
    for steps in (0, 1, 3, 9):
        found = conjugate_gradients(
            lambda v: torch.einsum("nij,nj->ni", matrix, v), right, steps=steps
        )
        for row in range(4):
            wanted = by_hand(matrix[row], right[row], steps)
            torch.testing.assert_close(found[row], wanted, atol=1e-9, rtol=1e-9)
    torch.testing.assert_close(found[0], torch.linalg.solve(matrix[0], right[0]))
    # The second stopped on its way; the others had nowhere to go.
    assert not torch.equal(found[1], right[1])
    assert not torch.allclose(matrix[1] @ found[1], right[1], atol=1e-2)
    assert torch.equal(found[2:], right[2:])


def test_memory_does_not_grow_with_the_steps(
    encoder: nn.Module, episodes: EpisodeBatch, head: CatalogueHead
) -> None:
    def implicit(steps: int) -> Learner:
        return ImplicitMAML(encoder, adapt=ADAPT, inner_steps=steps).train()

    def unrolled(steps: int) -> Learner:
        return MAML(encoder, adapt=ADAPT, inner_steps=steps, first_order=False).train()

    def kept(build: Callable[[int], Learner], steps: int) -> int:
        alive: WeakSet[_Saved] = WeakSet()

        def pack(tensor: Tensor) -> _Saved:
            saved = _Saved(tensor.detach())  # A saved output would keep its own node alive.
            alive.add(saved)
            return saved

        learner = build(steps)
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda saved: saved.tensor):
            fast = learner.adapt(episodes, head)
        return len(alive) if fast else 0

    assert kept(implicit, 1) == kept(implicit, 6) > 0
    assert kept(unrolled, 6) > 3 * kept(unrolled, 1)
    fast = implicit(6).adapt(episodes, head)
    (node,) = {weight.grad_fn for weight in fast.values()}
    before = {type(parent).__name__ for parent, _ in node.next_functions if parent is not None}
    assert before == {"ExpandBackward0"}


class _Saved:
    """A tensor kept for backward, in a box that can be referred to weakly."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


def test_padding_changes_no_gradient(
    encoder: nn.Module, graph: HeteroData, head: CatalogueHead
) -> None:
    learner = ImplicitMAML(encoder, adapt=ADAPT, inner_lr=0.5).train()
    sampler = EpisodeSampler(graph, num_neighbors=(-1, -1))
    found = []
    for support in ([[3, 4], [0, 1]], [[3, 4, -1, -1], [0, 1, -1, -1]]):
        users = sampler.sample(Support(torch.tensor(support)), generator=torch.Generator())
        found.append(gradients_of(learner, users, head))
    assert all(bool(gradient.any()) for gradient in found[0])
    torch.testing.assert_close(found[0], found[1], atol=1e-5, rtol=1e-4)


class BreaksLater(ImplicitMAML):
    """The inner loss of the first user is NaN after the first step."""

    def _inner_objective(self, *args: Any) -> Callable[[FastWeights], Tensor]:
        inner_loss, calls = super()._inner_objective(*args), []

        def loss(fast: FastWeights) -> Tensor:
            calls.append(1)
            each = inner_loss(fast)
            is_broken = torch.arange(len(each)) < int(len(calls) > 1)
            return each * torch.where(is_broken, torch.nan, 1.0)

        return loss


def test_a_user_whose_later_step_breaks_is_not_pulled_back(
    encoder: nn.Module, episodes: EpisodeBatch, head: CatalogueHead
) -> None:
    options = {"adapt": ADAPT, "inner_lr": 0.5, "on_non_finite": "keep"}
    one, three = (BreaksLater(encoder, inner_steps=n, **options).eval() for n in (1, 3))
    with torch.no_grad():
        reached = one.adapt(episodes, head)
        with pytest.warns(RuntimeWarning, match="one of 1 users who keep the weights reached"):
            found = three.adapt(episodes, head)
    for name, weight in found.items():
        assert torch.equal(weight[0], reached[name][0])
        assert not torch.equal(weight[1], reached[name][1])
        assert not torch.equal(weight[0], one.shared_weights(4)[name][0])


def test_keeps_the_contract(
    encoder: nn.Module, episodes: EpisodeBatch, head: CatalogueHead
) -> None:
    options: tuple[dict[str, Any], ...] = ({}, {"inner_loss": "support", "is_batched": False})
    for each in options:
        learner = ImplicitMAML(encoder, inner_lr=0.5, **each)
        check_learner(learner.eval(), episodes, head)
    encoder.zero_grad()
    outer(learner, learner.train().adapt(episodes, head), episodes, head).backward()
    (group,) = learner.parameter_groups(0.1)  # Nothing of its own is learnt.
    assert any(p.grad is not None and bool(p.grad.any()) for p in group["params"])
    learner.requires_grad_(False)
    assert not any(w.requires_grad for w in learner.adapt(episodes, head).values())


def test_bad_options(encoder: nn.Module) -> None:
    with pytest.raises(ConfigError, match=r"proximal=0\.0 must be above 0"):
        ImplicitMAML(encoder, proximal=0.0)
    with pytest.raises(ConfigError, match=r"times inner_lr=0\.5, below 2"):
        ImplicitMAML(encoder, proximal=4.0, inner_lr=0.5)
    with pytest.raises(ConfigError, match="cg_steps=-1"):
        ImplicitMAML(encoder, cg_steps=-1)
    with pytest.raises(ConfigError, match="inner_steps=-1"):
        ImplicitMAML(encoder, inner_steps=-1)


def test_there_is_no_second_order(encoder: nn.Module) -> None:
    with pytest.raises(ConfigError, match="leave first_order out"):
        ImplicitMAML(encoder, first_order=False)
