"""Meta-training: that it learns planted structure, repeats itself, and can be continued."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data.cold_users import Support
from graphmeta.encoders import CatalogueHead, RelationEncoder
from graphmeta.encoders.weights_drawn_by import weights_drawn_by
from graphmeta.errors import ConfigError, DataError, NonFiniteError
from graphmeta.meta import MAML, MetaTrainer
from graphmeta.meta.outer_loss import OuterDraw, OuterLoss
from graphmeta.tasks.episode import RATES, REV_RATES
from graphmeta.tasks.episode_loader import EpisodeLoader
from graphmeta.tasks.episode_sampler import EpisodeSampler


def two_groups(n_users: int = 40, n_items: int = 20) -> HeteroData:
    """Even users rate most even items, odd users most odd ones."""
    generator = torch.Generator().manual_seed(0)
    same = (torch.arange(n_users)[:, None] + torch.arange(n_items)) % 2 == 0
    rates = same & (torch.rand(n_users, n_items, generator=generator) < 0.7)
    graph = HeteroData()
    graph["user"].num_nodes, graph["item"].num_nodes = n_users, n_items
    edge_index = rates.nonzero().T.contiguous()
    graph[RATES].edge_index, graph[REV_RATES].edge_index = edge_index, edge_index.flip(0)
    return graph


def trainer_of(
    graph: HeteroData,
    channels: int = 8,
    learner_class: type[MAML] = MAML,
    batch_size: int = 128,
    **options: Any,
) -> MetaTrainer:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = RelationEncoder(graph.metadata(), out_channels=channels, num_layers=2)
        learner = learner_class(encoder, adapt=("layers.*.shift.*",), inner_steps=1)
    head = CatalogueHead(graph, channels=channels)
    sampler = EpisodeSampler(graph, num_neighbors=(4, 4))
    loader = EpisodeLoader(graph, sampler=sampler, batch_size=batch_size)
    return MetaTrainer(learner, head, loader, **options)


def ranks_the_groups_apart(trainer: MetaTrainer) -> bool:
    """Return whether new users of each group get its eight best items."""
    support = Support(torch.tensor([[0, 2], [1, 3]]))
    episodes = trainer.loader.sampler.sample(support, generator=torch.Generator().manual_seed(0))
    fast = trainer.learner.adapt(episodes, trainer.head)
    scores = trainer.learner.score(episodes, fast, trainer.head)
    return [set((row.topk(8).indices % 2).tolist()) for row in scores] == [{0}, {1}]


def test_it_learns_the_planted_groups_for_users_it_never_saw() -> None:
    trainer = trainer_of(two_groups(), batch_size=8, lr=0.01)
    losses = [trainer.run_epoch() for _ in range(15)]
    assert losses == trainer.losses
    assert sum(losses[-3:]) / 3 < losses[0] - 0.2
    assert ranks_the_groups_apart(trainer)


def test_it_learns_them_from_items_that_stand_for_the_catalogue() -> None:
    trainer = trainer_of(two_groups(), batch_size=8, lr=0.01, num_sampled=5)
    for _ in range(15):
        trainer.run_epoch()
    assert ranks_the_groups_apart(trainer)


def test_an_epoch_of_few_users_visits_them_again_in_another_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    graph = two_groups()
    n_users = int(graph["user"].num_nodes)
    for min_steps, passes in ((1, 1), (2, 1), (3, 2), (5, 3)):
        trainer = trainer_of(graph, batch_size=n_users // 2, min_steps=min_steps)
        steps: list[torch.Tensor] = []
        monkeypatch.setattr(trainer, "_descend", lambda users, to=steps: to.append(users) or 1.0)
        assert trainer.run_epoch() == 1.0
        assert len(steps) == 2 * passes
        visits = torch.cat(steps)
        assert visits.bincount().tolist() == [passes] * n_users
        assert passes == 1 or not torch.equal(visits[:n_users], visits[n_users : 2 * n_users])


def test_same_seed_same_bytes_and_another_seed_others() -> None:
    graph = two_groups()
    one, same, other = (
        [trainer.run_epoch() for _ in range(2)]
        for trainer in (trainer_of(graph, seed=s, batch_size=8) for s in (0, 0, 1))
    )
    assert one == same != other


def test_a_restored_trainer_goes_on_as_if_it_had_never_stopped() -> None:
    graph = two_groups()
    whole = trainer_of(graph, batch_size=8)
    whole.run_epoch()
    state = {name: value.clone() for name, value in whole.state().items()}
    whole.run_epoch()
    second = trainer_of(graph, batch_size=8)
    second.restore(state)
    second.run_epoch()
    assert second.losses == whole.losses
    for name, weight in whole.weights().items():
        assert torch.equal(weight, second.weights()[name])


def test_training_without_adaptation_leaves_the_step_sizes_alone() -> None:
    trainer = trainer_of(two_groups(), adapted_share=0.0, batch_size=8)
    before = trainer.learner.log_step_size.clone()
    trainer.run_epoch()
    assert torch.equal(before, trainer.learner.log_step_size)
    adapted = trainer_of(two_groups(), adapted_share=1.0, batch_size=8)
    adapted.run_epoch()
    assert not torch.equal(before, adapted.learner.log_step_size)


def whole_batch_trainer(n_shards: int) -> MetaTrainer:
    """Nothing is left to chance but the order of users: all neighbours, all left-out edges."""
    graph = two_groups()
    graph[RATES].time = torch.rand(
        graph[RATES].edge_index.size(1), generator=torch.Generator().manual_seed(1)
    ).double()
    with weights_drawn_by(0):
        encoder = RelationEncoder(graph.metadata(), out_channels=8, num_layers=2)
        learner = MAML(encoder, adapt=("layers.*.shift.*",), inner_steps=1, max_views=None)
    head = CatalogueHead(graph, channels=8)
    sampler = EpisodeSampler(graph, num_neighbors=(-1, -1))
    return MetaTrainer(learner, head, EpisodeLoader(graph, sampler=sampler), n_shards=n_shards)


@pytest.mark.parametrize("n_shards", [2, 3, 50])
def test_shards_have_the_gradient_of_the_whole_batch(
    n_shards: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = OuterDraw(k=3, in_order=True, is_adapted=True)
    monkeypatch.setattr(OuterLoss, "draw", lambda self, generator: draw)
    whole, parts = whole_batch_trainer(1), whole_batch_trainer(n_shards)
    assert parts.run_epoch() == pytest.approx(whole.run_epoch(), abs=1e-6)
    # What the last, and only, step left behind.
    for (name, one), other in zip(
        whole._modules.named_parameters(), parts._modules.parameters(), strict=True
    ):
        assert (one.grad is None) == (other.grad is None), name
        if one.grad is not None:
            torch.testing.assert_close(other.grad, one.grad, atol=1e-6, rtol=1e-4)
    assert float(whole.learner.log_step_size.grad.abs().sum()) > 0


def test_between_epochs_the_modules_hold_the_mean_of_the_steps() -> None:
    trainer = trainer_of(two_groups(), batch_size=8)
    weight, walked = trainer.weights()["head.bias"], []
    step = trainer._optimizer.step
    trainer._optimizer.step = lambda: (step(), walked.append(weight.clone()))
    for _ in range(2):
        trainer.run_epoch()
        torch.testing.assert_close(weight, torch.stack(walked).mean(0))
    assert not torch.allclose(weight, walked[-1], atol=1e-4)


def test_shards_repeat_themselves_and_are_part_of_the_state() -> None:
    graph = two_groups()
    one, same = (trainer_of(graph, batch_size=8, n_shards=3) for _ in range(2))
    one.run_epoch()
    same.restore({name: value.clone() for name, value in one.state().items()})
    assert one.run_epoch() == same.run_epoch()
    for name, weight in one.weights().items():
        assert torch.equal(weight, same.weights()[name])
    message = r"written with n_shards=3, this training has 1; pass the former"
    with pytest.raises(DataError, match=message):
        trainer_of(graph, batch_size=8).restore(one.state())
    old = trainer_of(graph, batch_size=8).state()
    del old["n_shards"]  # As before there were any.
    trainer_of(graph, batch_size=8).restore(old)


class Sick(MAML):
    """Some outer steps are not finite, by their loss, their gradient or their inner loop."""

    kind = "loss"
    calls: ClassVar[list[int]] = []  # Those to spoil, from 0.
    n_calls = -1

    def outer_loss(self, *args: Any, **options: Any) -> Tensor:
        self.n_calls += 1
        loss = super().outer_loss(*args, **options)
        if self.n_calls not in self.calls:
            return loss
        if self.kind == "inner":
            raise NonFiniteError("the inner loss is nan")
        if self.kind == "loss":
            return loss * torch.inf
        # The root has an infinite slope at 0, which times 0 is NaN.
        return loss + (0 * self.encoder.output["user"].bias.sum()).sqrt()


def sick_trainer(kind: str, calls: list[int], **options: Any) -> MetaTrainer:
    trainer = trainer_of(two_groups(), batch_size=8, learner_class=Sick, **options)
    trainer.learner.kind, trainer.learner.calls = kind, calls
    return trainer


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("loss", r"the outer loss is -?inf, for training users \[.*\] and 3 more in a batch of 8;"),
        ("inner", r"the inner loss is nan, for training users \[.*\] and 3 more in a batch of 8;"),
        (
            "gradient",
            r"the outer gradient of \['learner\.encoder\..+'\] is not finite for training",
        ),
    ],
)
def test_a_step_that_is_not_finite_stops_or_is_left_out(kind: str, said: str) -> None:
    stops = sick_trainer(kind, [1])
    before = {n: w.clone() for n, w in stops.weights().items()}
    with pytest.raises(NonFiniteError, match=f"^epoch 1, step 2: {said}") as error:
        stops.run_epoch()
    assert str(error.value).endswith("on_non_finite='skip' leaves such steps out")
    assert all(bool(weight.isfinite().all()) for weight in stops.weights().values())
    goes_on = sick_trainer(kind, [1, 3], on_non_finite="skip")
    message = f"^2 of 5 outer steps of epoch 1 were left out \\(epoch 1, step 2: {said}"
    with pytest.warns(RuntimeWarning, match=message):
        loss = goes_on.run_epoch()
    assert math.isfinite(loss)
    name = "head.table.embedding"
    assert not torch.equal(goes_on.weights()[name], before[name])
    assert all(bool(weight.isfinite().all()) for weight in goes_on.weights().values())


def test_the_steps_left_out_do_nothing() -> None:
    n_steps = 5
    well = sick_trainer("loss", [], on_non_finite="skip")
    sick = sick_trainer("loss", [n_steps - 1], on_non_finite="skip")
    with pytest.warns(RuntimeWarning, match="1 of 5 outer steps"):
        sick.run_epoch()
    step, n_taken = well._optimizer.step, iter(range(n_steps))
    well._optimizer.step = lambda: step() if next(n_taken) < n_steps - 1 else None
    well.run_epoch()
    for trainer in (well, sick):
        trainer._average.put_back()  # The mean of all steps counts the last one here.
    for name, weight in well.weights().items():
        assert torch.equal(weight, sick.weights()[name])


def test_an_epoch_without_a_finite_step_stops_even_if_steps_may_be_left_out() -> None:
    trainer = sick_trainer("loss", list(range(5)), on_non_finite="skip")
    with pytest.raises(NonFiniteError, match=r"no outer step was finite; epoch 1, step 1: the out"):
        trainer.run_epoch()


def test_bad_input() -> None:
    graph = two_groups()
    with pytest.raises(ConfigError, match="min_steps=0 must be at least 1"):
        trainer_of(two_groups(), min_steps=0)
    with pytest.raises(ConfigError, match="batch_size=0"):
        trainer_of(graph, batch_size=0)
    with pytest.raises(ConfigError, match="n_shards=0 must be at least 1, the number of processes"):
        trainer_of(graph, n_shards=0)
    with pytest.raises(ConfigError, match="on_non_finite='hope' must be one of"):
        trainer_of(graph, on_non_finite="hope")
    with pytest.raises(DataError, match="training state belongs to a model of another shape"):
        trainer_of(graph).restore(trainer_of(graph, channels=4).state())
    broken = trainer_of(graph)
    with torch.no_grad():
        broken.head.bias[0] = float("nan")
    with pytest.raises(NonFiniteError, match=r"the weights \['head.bias'\] are not finite"):
        broken.run_epoch()
    graph[RATES].edge_index = torch.tensor([[0, 1], [0, 1]])
    with pytest.raises(DataError, match="no training user has two items"):
        trainer_of(graph)


def test_an_epoch_of_few_steps_visits_the_users_it_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[Tensor] = []
    call = OuterLoss.__call__

    def noted(self: OuterLoss, users: Tensor, *rest: Any, **options: Any) -> Tensor:
        seen.append(users)
        return call(self, users, *rest, **options)

    monkeypatch.setattr(OuterLoss, "__call__", noted)
    some = torch.tensor([3, 5, 8, 13, 21])
    trainer_of(two_groups(), batch_size=2, min_steps=4, max_steps=4, users=some).run_epoch()
    assert [len(users) for users in seen] == [2, 2, 1, 2]
    assert set(torch.cat(seen).tolist()) == {3, 5, 8, 13, 21}
    seen.clear()
    trainer_of(two_groups(), batch_size=8, max_steps=2).run_epoch()
    assert len(seen) == 2
    with pytest.raises(ConfigError, match="max_steps=1 must be at least min_steps=2"):
        trainer_of(two_groups(), min_steps=2, max_steps=1)
    with pytest.raises(DataError, match="none of the 1 users to visit has two items"):
        trainer_of(two_groups(), users=torch.tensor([99]))
