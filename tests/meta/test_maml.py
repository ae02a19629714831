"""MAML against a hand-written loop, and its promises."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.data import HeteroData
from torch_geometric.nn import HeteroConv, HGTConv, SAGEConv

from graphmeta.data.cold_users import Support
from graphmeta.encoders import CatalogueHead, RelationEncoder
from graphmeta.errors import ConfigError, EncoderError, NonFiniteError
from graphmeta.meta import MAML, maml
from graphmeta.tasks.episode import RATES, REV_RATES, EpisodeBatch
from graphmeta.tasks.episode_sampler import EpisodeSampler
from graphmeta.tasks.relation_features import EDGE_DIM

CHANNELS = 6
METADATA = (["user", "item"], [RATES, REV_RATES])


class Stacked(nn.Module):
    """Two layers of a PyG heterogeneous convolution, as a PyG user would write them."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(
        self, x_dict: dict[str, Tensor], edge_index_dict: dict[tuple[str, str, str], Tensor]
    ) -> dict[str, Tensor]:
        for layer in self.layers:
            x_dict = layer(x_dict, edge_index_dict)
        return x_dict


def encoder_of(name: str) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if name == "relation":
            encoder = RelationEncoder(
                METADATA, out_channels=CHANNELS, num_layers=2, edge_dim=EDGE_DIM
            )
            for layer in encoder.layers:
                for conv in layer.convs.values():  # They start at zero.
                    nn.init.normal_(conv.edge.weight)
            return encoder
        if name == "hgt":
            return Stacked(*(HGTConv(CHANNELS, CHANNELS, METADATA, heads=2) for _ in range(2)))
        sage = {e: SAGEConv(CHANNELS, CHANNELS) for e in METADATA[1]}
        return Stacked(HeteroConv(sage), HeteroConv(copy.deepcopy(sage)))


ENCODERS = ("relation", "sage", "hgt")


@pytest.mark.parametrize("name", ENCODERS)
def test_one_step_is_the_hand_written_leave_one_out_step(
    name: str, episodes: EpisodeBatch, head: CatalogueHead
) -> None:
    encoder = encoder_of(name)
    fast = MAML(encoder, inner_steps=1, inner_lr=0.5).adapt(episodes, head)
    x_dict = head.x_dict(episodes)
    for row, shown in ((0, [0, 1, 2]), (1, [3, 4])):
        loss = torch.zeros(())
        for k, target in enumerate(shown):
            edges, attr = {}, {}
            for edge_type, padded in episodes.edge_index_dict.items():
                edges[edge_type] = torch.cat([padded[row, :, :k], padded[row, :, k + 1 :]], 1)
                features = episodes.edge_attr_dict[edge_type][row]
                attr[edge_type] = torch.cat([features[:k], features[k + 1 :]])
            wanted_by = (attr,) if name == "relation" else ()
            z = encoder({t: x[row] for t, x in x_dict.items()}, edges, *wanted_by)["user"][0]
            left = torch.tensor([len(shown) - 1])
            product = head.curve(left)["product"] * (head.table.output @ z) / CHANNELS**0.5
            scores = (product + head.vote.popularity(left - 9).log())[0]
            loss = loss - scores.log_softmax(0)[target] / len(shown)
        parameters = dict(encoder.named_parameters())
        gradients = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
        for (parameter_name, p), g in zip(parameters.items(), gradients, strict=True):
            wanted = p if g is None else p - 0.5 * g
            torch.testing.assert_close(fast[parameter_name][row], wanted, atol=1e-5, rtol=1e-4)


def test_a_plain_step_descends_the_loss_on_all_of_the_support(
    episodes: EpisodeBatch, head: CatalogueHead
) -> None:
    encoder = encoder_of("sage")
    learner = MAML(encoder, inner_steps=1, inner_lr=0.5, inner_loss="support")
    fast = learner.adapt(episodes, head)
    x_dict = head.x_dict(episodes)
    for row, shown in ((0, [0, 1, 2]), (1, [3, 4]), (2, [5])):
        edges = {e: padded[row, :, :] for e, padded in episodes.edge_index_dict.items()}
        z = encoder({t: x[row] for t, x in x_dict.items()}, edges)["user"][0]
        product = head.curve(torch.tensor([len(shown)]))["product"]
        prior = head.vote.popularity(torch.tensor([-1])).log()
        scores = (product * (head.table.output @ z) / CHANNELS**0.5 + prior)[0]
        loss = -scores.log_softmax(0)[shown].mean()
        parameters = dict(encoder.named_parameters())
        gradients = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
        assert any(g is not None and bool(g.abs().max() > 1e-4) for g in gradients)
        for (parameter_name, p), g in zip(parameters.items(), gradients, strict=True):
            wanted = p if g is None else p - 0.5 * g
            torch.testing.assert_close(fast[parameter_name][row], wanted, atol=1e-5, rtol=1e-4)
    # Nobody adapts on nothing.
    assert all(
        torch.equal(w[3], p) for w, p in zip(fast.values(), encoder.parameters(), strict=True)
    )


@pytest.mark.parametrize("name", ENCODERS)
def test_batched_equals_one_by_one(name: str, episodes: EpisodeBatch, head: CatalogueHead) -> None:
    encoder = encoder_of(name)
    scores = []
    for is_batched in (True, False):
        learner = MAML(encoder, is_batched=is_batched, inner_lr=0.5)
        scores.append(learner.score(episodes, learner.adapt(episodes, head), head))
    torch.testing.assert_close(scores[0], scores[1], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ENCODERS)
def test_padding_changes_no_score(name: str, graph: HeteroData, head: CatalogueHead) -> None:
    learner = MAML(encoder_of(name), inner_lr=0.5)
    sampler = EpisodeSampler(graph, num_neighbors=(-1, -1))
    scores = []
    for support in ([[3, 4], [0, 1]], [[3, 4, -1, -1], [0, 1, 2, 6]]):
        one = sampler.sample(Support(torch.tensor(support)), generator=torch.Generator())
        scores.append(learner.score(one, learner.adapt(one, head), head)[0])
    torch.testing.assert_close(scores[0], scores[1], atol=1e-5, rtol=1e-4)


def test_users_with_fewer_than_two_edges_keep_the_shared_weights(
    episodes: EpisodeBatch, head: CatalogueHead
) -> None:
    learner = MAML(encoder_of("relation"), inner_lr=0.5)
    fast, shared = learner.adapt(episodes, head), learner.shared_weights(4)
    assert any(not torch.equal(fast[n][0], shared[n][0]) for n in fast)
    assert all(torch.equal(fast[n][2:], shared[n][2:]) for n in fast)


@pytest.mark.parametrize("is_frozen", [False, True])
def test_adapts_alike_without_gradients_and_with_frozen_weights(
    is_frozen: bool, episodes: EpisodeBatch, head: CatalogueHead
) -> None:
    learner = MAML(encoder_of("relation"), inner_lr=0.5)
    wanted = learner.adapt(episodes, head)
    learner.requires_grad_(not is_frozen)
    with torch.no_grad():
        fast = learner.adapt(episodes, head)
    assert not any(w.requires_grad for w in fast.values())
    for name, weight in fast.items():
        torch.testing.assert_close(weight, wanted[name].detach())


def test_adapting_in_blocks_is_adapting_at_once(
    monkeypatch: pytest.MonkeyPatch, episodes: EpisodeBatch, head: CatalogueHead
) -> None:
    learner = MAML(encoder_of("relation"), inner_lr=0.5)
    wanted = learner.adapt(episodes, head)
    monkeypatch.setattr(maml, "VIEWS_AT_ONCE", 7)  # Two users with three views, then the others.
    with torch.no_grad():
        fast = learner.adapt(episodes, head)
        for name, weight in fast.items():
            torch.testing.assert_close(weight, wanted[name].detach())
        episodes.edge_attr_dict[REV_RATES][3] = float("nan")
        episodes.support.item_index[3, 0] = 4
        episodes.support.item_index[3, 1] = 6
        with pytest.raises(NonFiniteError, match="not finite for row 3 of the batch"):
            learner.adapt(episodes, head)


def test_a_user_with_a_broken_step_stops_the_run_or_is_left_out(
    episodes: EpisodeBatch, head: CatalogueHead
) -> None:
    class Bent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = encoder_of("sage")
            self.gain = nn.Parameter(torch.ones(CHANNELS))

        def forward(self, x_dict: dict[str, Tensor], edges: Any) -> dict[str, Tensor]:
            out = self.inner(x_dict, edges)
            is_broken = (x_dict["item"][0] - broken).abs().sum() < 1e-6
            # The root has no gradient at zero, where it is for the broken user alone.
            zero = torch.where(is_broken, self.gain - self.gain.detach(), torch.ones(()))
            gain = self.gain + 0 * zero.abs().sqrt()
            return {t: x * gain for t, x in out.items()}

    broken = head.table.embedding[0].detach()  # The user whose first item is item 0.
    learner = MAML(Bent(), adapt=("gain",), inner_lr=0.5)
    with pytest.raises(NonFiniteError, match=r"gradient of gain is not finite for row 0 .* step 0"):
        learner.adapt(episodes, head)
    learner.on_non_finite = "keep"
    with pytest.warns(RuntimeWarning, match="row 0 .*, one of 1 users who keep the weights"):
        fast = learner.adapt(episodes, head)
    shared = learner.shared_weights(4)
    assert torch.equal(fast["gain"][0], shared["gain"][0])
    assert not torch.equal(fast["gain"][1], shared["gain"][1])
    assert bool(fast["gain"].isfinite().all())


def test_parameters_that_cannot_matter_are_refused(
    episodes: EpisodeBatch, head: CatalogueHead
) -> None:
    learner = MAML(encoder_of("relation"), adapt=("output.item.*",))
    with pytest.raises(EncoderError, match=r"none of the adapted parameters .*output\.item"):
        learner.adapt(episodes, head)


def test_zero_steps_is_the_unadapted_encoder(episodes: EpisodeBatch, head: CatalogueHead) -> None:
    encoder = encoder_of("relation")
    learner = MAML(encoder, inner_steps=0)
    scores = learner.score(episodes, learner.adapt(episodes, head), head)
    for row, x_item in enumerate(head.x_dict(episodes)["item"]):
        out = encoder(
            {"item": x_item, "user": head.x_dict(episodes)["user"][row]},
            {e: v[row] for e, v in episodes.edge_index_dict.items()},
            {e: v[row] for e, v in episodes.edge_attr_dict.items()},
        )
        z = out["user"][:1].expand(4, -1)
        torch.testing.assert_close(scores[row], head(z, episodes)[row])


def test_adaptation_lowers_the_leave_one_out_loss_and_leaves_the_shared_weights(
    episodes: EpisodeBatch, head: CatalogueHead
) -> None:
    learner = MAML(encoder_of("relation"), inner_steps=3, inner_lr=0.2)
    before = copy.deepcopy(learner.state_dict())
    fast = learner.adapt(episodes, head)
    held_out = episodes.leave_one_out()

    def loss(weights: dict[str, Tensor]) -> float:
        repeated = {n: w.repeat_interleave(3, 0) for n, w in weights.items()}
        z = learner.encode(held_out.views, repeated, head.x_dict(held_out.views))
        scores = head.inner_scores(z, held_out.views)
        each = nn.functional.cross_entropy(scores, held_out.target, reduction="none")
        return (each * held_out.weight).sum().item()

    assert loss(fast) < loss(learner.shared_weights(4)) - 0.1
    assert all(torch.equal(before[n], v) for n, v in learner.state_dict().items())


def test_only_the_named_parameters_adapt(episodes: EpisodeBatch, head: CatalogueHead) -> None:
    learner = MAML(encoder_of("relation"), adapt=("layers.*.scale.*", "layers.*.shift.*"))
    assert set(learner.adapt(episodes, head)) == {
        f"layers.{i}.{kind}.{t}"
        for i in (0, 1)
        for kind in ("scale", "shift")
        for t in ("user", "item")
    }


@pytest.mark.parametrize("first_order", [True, False])
def test_outer_gradient_reaches_weights_and_step_sizes(
    first_order: bool, episodes: EpisodeBatch, head: CatalogueHead
) -> None:
    learner = MAML(encoder_of("relation"), first_order=first_order, inner_lr=0.3).train()
    scores = learner.score(episodes, learner.adapt(episodes, head), head)
    nn.functional.cross_entropy(scores[:2], torch.tensor([7, 8])).backward()
    assert learner.log_step_size.grad is not None
    assert bool((learner.log_step_size.grad != 0).any())
    assert all(p.grad is not None for p in learner.encoder.layers[0].parameters())


def test_second_order_outer_gradient_is_the_true_one(
    episodes: EpisodeBatch, graph: HeteroData
) -> None:
    head = CatalogueHead(graph, channels=CHANNELS).double().requires_grad_(False)
    attr = {e: x.double() for e, x in episodes.edge_attr_dict.items()}
    episodes = replace(episodes, edge_attr_dict=attr)
    learner = MAML(encoder_of("relation").double(), adapt=("output.user.*",), first_order=False)
    learner = learner.double().train()
    bias = learner.encoder.output["user"].bias

    def outer(value: Tensor, log_step: Tensor) -> Tensor:
        state = {"encoder.output.user.bias": value, "log_step_size": log_step}
        return torch.func.functional_call(
            Outer(learner), {f"learner.{k}": v for k, v in state.items()}, (episodes, head)
        )

    start = (
        bias.detach().clone().requires_grad_(),
        learner.log_step_size.detach().clone().requires_grad_(),
    )
    assert torch.autograd.gradcheck(outer, start)


class Outer(nn.Module):
    """The outer loss as a module, so that a functional call can replace its parameters."""

    def __init__(self, learner: MAML) -> None:
        super().__init__()
        self.learner = learner

    def forward(self, episodes: EpisodeBatch, head: CatalogueHead) -> Tensor:
        scores = self.learner.score(episodes, self.learner.adapt(episodes, head), head)
        return nn.functional.cross_entropy(scores[:2], torch.tensor([7, 8]))


def test_bad_input(episodes: EpisodeBatch, head: CatalogueHead) -> None:
    encoder = encoder_of("relation")
    with pytest.raises(ConfigError, match=r"'head\.\*' matches no parameter"):
        MAML(encoder, adapt=("head.*",))
    with pytest.raises(ConfigError, match="inner_steps=-1"):
        MAML(encoder, inner_steps=-1)
    with pytest.raises(ConfigError, match="inner_lr=0"):
        MAML(encoder, inner_lr=0)
    with pytest.raises(ConfigError, match="inner_loss='loo' must be one of"):
        MAML(encoder, inner_loss="loo")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="no parameters"):
        MAML(Stacked())
    broken = CatalogueHead.__new__(CatalogueHead)
    broken.__dict__ = copy.deepcopy(head.__dict__)
    broken.table.embedding.data[0] = float("nan")
    with pytest.raises(NonFiniteError, match="row 0 of the batch at step 0"):
        MAML(encoder).adapt(episodes, broken)


def test_encoder_without_users_is_refused(episodes: EpisodeBatch, head: CatalogueHead) -> None:
    class ItemsOnly(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(()))

        def forward(self, x_dict: dict[str, Tensor], _: object) -> dict[str, Tensor]:
            return {"item": x_dict["item"] * self.weight}

    with pytest.raises(EncoderError, match="without 'user'"):
        MAML(ItemsOnly()).adapt(episodes, head)
