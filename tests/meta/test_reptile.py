"""Reptile against plain loops over users, steps and edges."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.data import HeteroData

from graphmeta.data.cold_users import Support
from graphmeta.encoders import CatalogueHead
from graphmeta.errors import ConfigError
from graphmeta.meta import FastWeights, check_learner, query_loss
from graphmeta.meta.reptile import Reptile
from graphmeta.tasks.episode import EpisodeBatch
from graphmeta.tasks.episode_sampler import EpisodeSampler

ADAPT = ("output.user.*", "layers.*.scale.*")
SHOWN = ((0, [0, 1, 2]), (1, [3, 4]))
LR = 0.5


@pytest.fixture
def seen() -> Tensor:
    """Every user's support and some more items."""
    items = ([0, 1, 2, 7], [3, 4, 8, 0], [5, 6], [2])
    return torch.stack([torch.zeros(9).index_fill(0, torch.tensor(i), 1.0) for i in items])


def plain_loss(
    encoder: nn.Module,
    head: CatalogueHead,
    episodes: EpisodeBatch,
    row: int,
    weights: FastWeights,
    hidden: Sequence[int],
) -> Tensor:
    """The mean loss of one user's hidden edges, each out of the subgraph in turn."""
    shown = episodes.support.item_index[row][episodes.support.mask[row]]
    losses = []
    for k in hidden:
        edges = {e: _without(v[row], k, 1) for e, v in episodes.edge_index_dict.items()}
        attr = {e: _without(v[row], k, 0) for e, v in episodes.edge_attr_dict.items()}
        x = {t: v[row] for t, v in head.x_dict(episodes).items()}
        z = torch.func.functional_call(encoder, weights, (x, edges, attr))["user"][0]
        product = head.curve(torch.tensor([len(shown) - 1]))["product"]
        prior = head.vote.popularity(torch.tensor([-1])).log()
        scores = (product * (head.table.output @ z) / head.table.channels**0.5 + prior)[0]
        losses.append(-(scores + head.bias).log_softmax(0)[shown[k]])
    return torch.stack(losses).mean()


def _without(values: Tensor, k: int, dim: int) -> Tensor:
    kept = [i for i in range(values.size(dim)) if i != k]
    return values.index_select(dim, torch.tensor(kept))


def plain_steps(
    learner: Reptile,
    head: CatalogueHead,
    episodes: EpisodeBatch,
    row: int,
    hidden: Sequence[Sequence[int]],
) -> FastWeights:
    """One user's weights after a step per list of hidden edges."""
    parameters = dict(learner.encoder.named_parameters())
    weights = {n: parameters[n].detach() for n in learner.adapted_names}
    for edges in hidden:
        weights = {n: w.detach().requires_grad_() for n, w in weights.items()}
        loss = plain_loss(learner.encoder, head, episodes, row, weights, edges)
        slopes = torch.autograd.grad(loss, list(weights.values()), allow_unused=True)
        weights = {
            n: w if g is None else w - LR * g
            for (n, w), g in zip(weights.items(), slopes, strict=True)
        }
    return {n: w.detach() for n, w in weights.items()}


def test_the_outer_gradient_is_the_way_back_over_the_step_size(
    encoder: nn.Module, episodes: EpisodeBatch, head: CatalogueHead, seen: Tensor
) -> None:
    learner = Reptile(encoder, adapt=ADAPT, inner_steps=2, inner_lr=LR, max_views=None).train()
    learner.outer_loss(episodes, head, seen, is_adapted=True).backward()
    ends = []
    for row, shown in SHOWN:
        edges = range(len(shown))
        ends.append(plain_steps(learner, head, episodes, row, [edges, edges]))
    parameters = dict(encoder.named_parameters())
    for name in learner.adapted_names:
        theta = parameters[name]
        wanted = sum((theta - end[name]) / LR for end in ends) / 2
        torch.testing.assert_close(theta.grad, wanted, atol=1e-5, rtol=1e-4)
    assert float(parameters["output.user.bias"].grad.abs().max()) > 1e-2
    # All other weights descend the query loss at the users' weights.
    got = (head.bias.grad.clone(), parameters["layers.0.shift.user"].grad.clone())
    fast = learner.shared_weights(4)
    fast = {n: torch.stack([ends[0][n], ends[1][n], w[2], w[3]]).detach() for n, w in fast.items()}
    loss = query_loss(learner.score(episodes, fast, head), episodes.support, seen)
    wanted = torch.autograd.grad(loss, (head.bias, parameters["layers.0.shift.user"]))
    torch.testing.assert_close(got, wanted, atol=1e-5, rtol=1e-4)


def test_every_step_of_training_leaves_out_other_edges(
    encoder: nn.Module, episodes: EpisodeBatch, head: CatalogueHead
) -> None:
    learner = Reptile(encoder, adapt=ADAPT, inner_steps=4, inner_lr=LR).train()
    found = learner.adapt(episodes, head, generator=torch.Generator().manual_seed(1))
    generator = torch.Generator().manual_seed(1)
    drawn = [episodes.leave_one_out(max_views=1, generator=generator).target for _ in range(4)]
    for row, shown in SHOWN:
        hidden = [[shown.index(int(target[row]))] for target in drawn]
        assert len({edge for [edge] in hidden}) > 1
        wanted = plain_steps(learner, head, episodes, row, hidden)
        for name, weight in wanted.items():
            torch.testing.assert_close(found[name][row], weight, atol=1e-5, rtol=1e-4)
    # A new user's edges all count at every step.
    found = learner.eval().adapt(episodes, head, generator=generator)
    wanted = plain_steps(learner, head, episodes, 0, [range(3)] * 4)
    for name, weight in wanted.items():
        torch.testing.assert_close(found[name][0], weight, atol=1e-5, rtol=1e-4)


def test_one_step_is_joint_training_on_the_inner_loss(
    encoder: nn.Module, episodes: EpisodeBatch, head: CatalogueHead, seen: Tensor
) -> None:
    learner = Reptile(encoder, adapt=ADAPT, inner_steps=1, inner_lr=LR, max_views=None).train()
    learner.outer_loss(episodes, head, seen, is_adapted=True).backward()
    joint = sum(
        plain_loss(encoder, head, episodes, row, {}, range(len(shown))) for row, shown in SHOWN
    )
    theta = [encoder.output["user"].bias, encoder.layers[0].scale["user"]]
    wanted = torch.autograd.grad(joint / 2, theta)
    torch.testing.assert_close(tuple(p.grad for p in theta), wanted, atol=1e-5, rtol=1e-4)


def test_given_where_the_users_end_the_outer_gradient_is_the_true_one(
    encoder: nn.Module, double: tuple[EpisodeBatch, CatalogueHead], seen: Tensor
) -> None:
    episodes, head = double
    seen = seen.double()
    learner = _Stays(encoder.double(), adapt=("output.user.*",), inner_lr=LR).double().train()
    learner.ends = {n: w.detach() for n, w in learner.adapt(episodes, head).items()}

    names = ("learner.encoder.output.user.bias", "learner.encoder.layers.0.shift.user", "head.bias")

    def outer(*values: Tensor) -> Tensor:
        state = dict(zip(names, values, strict=True))
        return torch.func.functional_call(_Outer(learner, head), state, (episodes, seen))

    start = (encoder.output["user"].bias, encoder.layers[0].shift["user"], head.bias)
    copies = tuple(value.detach().clone().requires_grad_() for value in start)
    assert torch.autograd.gradcheck(outer, copies)


class _Stays(Reptile):
    """The users' weights stay where they ended, so that differences do not see them move."""

    ends: FastWeights | None = None

    def adapt(self, *args: object, **options: object) -> FastWeights:
        return self.ends or super().adapt(*args, **options)  # type: ignore[arg-type]


class _Outer(nn.Module):
    def __init__(self, learner: Reptile, head: CatalogueHead) -> None:
        super().__init__()
        self.learner, self.head = learner, head

    def forward(self, episodes: EpisodeBatch, seen: Tensor) -> Tensor:
        return self.learner.outer_loss(episodes, self.head, seen, is_adapted=True)


def test_padding_and_users_with_too_few_edges_give_no_direction(
    encoder: nn.Module, graph: HeteroData, head: CatalogueHead, seen: Tensor
) -> None:
    learner = Reptile(encoder, adapt=ADAPT, inner_lr=LR, max_views=None).train()
    sampler = EpisodeSampler(graph, num_neighbors=(-1, -1))
    bias = encoder.output["user"].bias
    gradients = []
    for support in ([[3, 4]], [[3, 4, -1], [5, -1, -1], [-1, -1, -1]]):
        n = len(support)
        users = sampler.sample(Support(torch.tensor(support)), generator=torch.Generator())
        loss = learner.outer_loss(users, head, seen[1 : 1 + n], is_adapted=True)
        gradients.append(torch.autograd.grad(loss, bias)[0])
    assert bool(gradients[0].any())
    torch.testing.assert_close(gradients[0], gradients[1], atol=1e-5, rtol=1e-4)
    nobody = learner.outer_loss(users[1:], head, seen[2:], is_adapted=True)
    assert not bool(torch.autograd.grad(nobody, bias)[0].any())


@pytest.mark.parametrize("options", [{}, {"inner_steps": 0}])
def test_unadapted_users_train_all_weights_on_the_query(
    options: dict[str, int],
    encoder: nn.Module,
    episodes: EpisodeBatch,
    head: CatalogueHead,
    seen: Tensor,
) -> None:
    learner = Reptile(encoder, **options).train()
    scores = learner.score(episodes, learner.shared_weights(4), head)
    wanted = query_loss(scores, episodes.support, seen)
    found = learner.outer_loss(episodes, head, seen, is_adapted=bool(options))
    torch.testing.assert_close(found, wanted)
    bias = encoder.output["user"].bias
    slopes = [torch.autograd.grad(loss, bias)[0] for loss in (found, wanted)]
    assert bool(slopes[1].any())
    torch.testing.assert_close(*slopes)


def test_keeps_the_contract(
    encoder: nn.Module, episodes: EpisodeBatch, head: CatalogueHead, seen: Tensor
) -> None:
    learner = Reptile(encoder, inner_lr=LR)
    check_learner(learner.eval(), episodes, head)
    check_learner(Reptile(encoder, inner_lr=LR, is_batched=False).eval(), episodes, head)
    learner.train().outer_loss(episodes, head, seen, is_adapted=True).backward()
    (group,) = learner.parameter_groups(0.1)  # The step size is fixed: nothing of its own to learn.
    assert any(p.grad is not None and bool(p.grad.any()) for p in group["params"])
    loaded = Reptile(encoder, inner_lr=0.1)
    loaded.load_state_dict(learner.state_dict())
    assert float(loaded.step_size) == LR


def test_bad_options(encoder: nn.Module) -> None:
    with pytest.raises(ConfigError, match="inner_steps=-1"):
        Reptile(encoder, inner_steps=-1)
    with pytest.raises(ConfigError, match="inner_lr=0"):
        Reptile(encoder, inner_lr=0.0)
    with pytest.raises(ConfigError, match="max_views=0"):
        Reptile(encoder, max_views=0)


def test_there_is_no_second_order(encoder: nn.Module) -> None:
    with pytest.raises(ConfigError, match="leave first_order out"):
        Reptile(encoder, first_order=False)
