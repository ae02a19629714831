"""One private user is in nothing but noisy sums, and changes those by no more than promised."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data import ColdSplit, split_cold_users
from graphmeta.data.bipartite_graph import FORWARD, bipartite_graph
from graphmeta.errors import ConfigError
from graphmeta.meta import RidgeHead
from graphmeta.meta.outer_loss import OuterDraw
from graphmeta.meta.relation_learner import relation_learner
from graphmeta.privacy import (
    PrivateTraining,
    Release,
    open_users,
    part_users,
    private_training,
)
from graphmeta.privacy.private_steps import PrivateSteps
from graphmeta.ranking import ColdStartRecommender

CLIP = 0.05


@pytest.fixture
def split(planted_graph: HeteroData) -> ColdSplit:
    return split_cold_users(planted_graph, seed=0)


@pytest.fixture
def parts(split: ColdSplit) -> tuple[HeteroData, HeteroData]:
    return part_users(split.train, open_users(split.train, 0.4))


def recommender(**options: Any) -> ColdStartRecommender:
    return ColdStartRecommender(
        **{"channels": 8, "epochs": 1, "min_steps": 1, "patience": 1} | options
    )


def training(**options: Any) -> PrivateTraining:
    return PrivateTraining(**{"n_steps": 2, "batch_size": 20, "noise_seed": 0} | options)


def steps_of(
    model: ColdStartRecommender, private: HeteroData, *, clip: float = CLIP, noise: float = 0.0
) -> PrivateSteps:
    return PrivateSteps(
        model.fitted,
        model.train_graph,
        private,
        clip=clip,
        release=Release(noise, 0.5, 2),
        lr=0.01,
        adapted_share=0.5,
        k_max=5,
    )


def without_items_of(private: HeteroData, user: int, *, keep: int) -> HeteroData:
    """Return the graph in which a user has the first few items alone; the rows stay."""
    store = private[FORWARD]
    own = (store.edge_index[0] == user).nonzero().flatten()
    kept = torch.ones(store.edge_index.size(1), dtype=torch.bool)
    kept[own[keep:]] = False
    return bipartite_graph(
        store.edge_index[:, kept],
        user_ids=private["user"].id_map,
        item_ids=private["item"].id_map,
        rating=store.rating[kept],
        time=store.time[kept],
    )


def flat(gradients: dict[str, Tensor]) -> Tensor:
    return torch.cat([gradient.flatten() for gradient in gradients.values()])


@pytest.mark.parametrize("is_adapted", [True, False])
def test_a_user_who_leaves_moves_a_sum_by_the_clip_at_most(
    parts: tuple[HeteroData, HeteroData], is_adapted: bool
) -> None:
    # All neighbours are taken and supports are in order of time: there is nothing to draw.
    model = recommender(num_neighbors=(-1, -1)).fit(parts[0])
    draw, users = OuterDraw(3, True, is_adapted), torch.arange(12)
    whole = steps_of(model, parts[1]).clipped_gradient(users, draw, torch.Generator())
    moved = []
    for user in range(12):
        gone = steps_of(model, without_items_of(parts[1], user, keep=0))
        rest = gone.clipped_gradient(users, draw, torch.Generator())
        moved.append(float((flat(whole) - flat(rest)).norm()))
    assert max(moved) <= CLIP * 1.001
    # The bound is met by most: clipping does something, and the test could fail.
    assert sum(m > 0.99 * CLIP for m in moved) > 6
    loose = steps_of(model, parts[1], clip=math.inf).clipped_gradient(
        users, draw, torch.Generator()
    )
    assert flat(loose).norm() > flat(whole).norm()


def test_a_private_users_items_are_in_nothing_that_the_open_model_holds(
    parts: tuple[HeteroData, HeteroData], tmp_path: Path
) -> None:
    settings = training()
    one = settings.fit(recommender(), *parts).model
    other = settings.fit(recommender(), parts[0], without_items_of(parts[1], 0, keep=2)).model
    plain = recommender().fit(parts[0])
    for model in (one, other):
        assert torch.equal(model.train_graph[FORWARD].edge_index, parts[0][FORWARD].edge_index)
        popularity = model.fitted.head.vote.popularity(torch.tensor([-1]))
        assert torch.equal(popularity, plain.fitted.head.vote.popularity(torch.tensor([-1])))
    one.save(tmp_path / "private.gm")
    saved = ColdStartRecommender.load(tmp_path / "private.gm").train_graph
    assert saved["user"].num_nodes == parts[0]["user"].num_nodes


def test_the_steps_train_what_users_adapt_from_and_nothing_else(
    parts: tuple[HeteroData, HeteroData],
) -> None:
    model = recommender().fit(parts[0])
    before = {n: w.clone() for n, w in model.fitted.learner.state_dict().items()}
    head = {n: w.clone() for n, w in model.fitted.head.state_dict().items()}
    steps_of(model, parts[1], noise=1.0).run(torch.Generator().manual_seed(0))
    after = model.fitted.learner.state_dict()
    changed = {n.removeprefix("encoder.") for n in after if not torch.equal(after[n], before[n])}
    assert changed <= {*model.fitted.learner.adapted_names}
    assert changed
    assert all(torch.equal(w, head[n]) for n, w in model.fitted.head.state_dict().items())


def test_the_noise_is_a_multiple_of_the_clip(
    parts: tuple[HeteroData, HeteroData], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = recommender().fit(parts[0])
    steps = steps_of(model, parts[1], noise=3.0)
    drawn = []
    monkeypatch.setattr(
        steps, "clipped_gradient",
        lambda users, *_: {n: torch.zeros_like(w) for n, w in steps.weights().items()},
    )  # fmt: skip
    monkeypatch.setattr(
        steps._optimizer,
        "step",
        lambda: drawn.append(flat({n: w.grad for n, w in steps._trained.items()})),
    )
    steps.run(torch.Generator().manual_seed(0))
    expected = 0.5 * int(parts[1]["user"].num_nodes)
    assert float(drawn[0].std()) == pytest.approx(3.0 * CLIP / expected, rel=0.2)
    assert not torch.equal(drawn[0], drawn[1])


def test_what_was_spent_is_the_budget_however_it_is_shared(
    parts: tuple[HeteroData, HeteroData], split: ColdSplit, monkeypatch: pytest.MonkeyPatch
) -> None:
    # With so few users the pairs are left out, unless they are asked for alone.
    for share, least, n_releases in ((0.0, 60, 1), (0.8, 60, 2), (0.8, 0, 3), (1.0, 60, 2)):
        monkeypatch.setattr(private_training, "USERS_PER_NOISE", least)
        found = training(items_share=share).fit(recommender(epochs=0), *parts, split.validation)
        assert len(found.releases) == n_releases
        assert found.releases[0].sampling_rate == (1 if share else 0.2)
        assert 7.9 <= found.epsilon <= 8
    free = training(epsilon=math.inf).fit(recommender(epochs=0), *parts, split.validation)
    assert free.epsilon == math.inf
    assert {release.noise for release in free.releases} == {0}


def test_what_items_say_is_used_where_it_serves_validation_users(split: ColdSplit) -> None:
    parts = part_users(split.train, open_users(split.train, 0.04))

    def own(**options: Any) -> ColdStartRecommender:  # A learner of one's own is trained in place.
        learner = relation_learner(parts[0].metadata(), channels=8)
        return recommender(learner=learner, **options)

    bare = {"without": ["linear", "prior", "vote"]}
    alone = own(**bare).fit(parts[0], split.validation)
    for epsilon, is_used in ((math.inf, True), (0.05, False)):
        settings = training(epsilon=epsilon, items_share=1.0)
        found = settings.fit(own(), *parts, split.validation).model
        assert (found.linear is not None and found.linear.above == 0) == is_used
        assert any(blend.prior == "counted" for blend in found.blend.values()) == is_used
        started = settings.fit(own(**bare), *parts, split.validation).model
        assert (started.fingerprint != alone.fingerprint) == is_used
    # Without anybody to ask, embeddings start from what is released.
    unasked = training(epsilon=0.05, items_share=1.0).fit(own(), *parts).model
    assert unasked.fingerprint != own().fit(parts[0]).fingerprint


def test_a_seed_repeats_it_and_the_system_does_not(
    parts: tuple[HeteroData, HeteroData],
) -> None:
    prints = [
        training(noise_seed=seed).fit(recommender(), *parts).model.fingerprint
        for seed in (1, 1, 2, None, None)
    ]
    assert prints[0] == prints[1]
    assert len(set(prints)) == 4


def test_steps_that_serve_validation_users_worse_are_not_kept(
    parts: tuple[HeteroData, HeteroData], split: ColdSplit
) -> None:
    found = training(lr=50.0).fit(recommender(), *parts, split.validation)
    plain = training(items_share=1.0)
    assert not found.kept_steps
    assert found.epsilon <= 8
    assert plain.n_steps == 2  # Whose weights are not taken either: items_share leaves none.
    assert not plain.fit(recommender(), *parts, split.validation).kept_steps


def test_what_cannot_be_combined(
    parts: tuple[HeteroData, HeteroData], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="epsilon=0,"):
        PrivateTraining(epsilon=0)
    with pytest.raises(ConfigError, match="items_share=2 "):
        PrivateTraining(items_share=2)
    ridge = relation_learner(parts[0].metadata(), channels=8, wrap=RidgeHead)
    with pytest.raises(ConfigError, match="adapts no parameters"):
        training().fit(recommender(learner=ridge), *parts)
    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "get_world_size", lambda: 2)
    with pytest.raises(ConfigError, match="runs in one process"):
        training().fit(recommender(), *parts)
