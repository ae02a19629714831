"""The recommender in a user's hands."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch_geometric.data import HeteroData

from graphmeta.data import ColdSplit, from_frame, planted_interactions, split_cold_users
from graphmeta.data.cold_users import Support
from graphmeta.encoders import RelationEncoder
from graphmeta.errors import (
    ConfigError,
    DataError,
    EncoderError,
    NonFiniteError,
    OutOfMemoryError,
    UnknownIdError,
)
from graphmeta.meta import MAML, LiveMemory
from graphmeta.ranking import evaluate, trained_recommender
from graphmeta.ranking.few_shot_scorer import FewShotScorer
from graphmeta.ranking.item_statistics import ItemStatistics
from graphmeta.ranking.recommender import ColdStartRecommender
from graphmeta.ranking.scorer import Scorer
from graphmeta.ranking.validation_users import ValidationUsers
from graphmeta.tasks import EpisodeBatch
from graphmeta.tasks.episode import RATES


@pytest.fixture(scope="module")
def model() -> ColdStartRecommender:
    rows = [
        (f"u{u}", f"i{i}")
        for u in range(30)
        for i in range(16)
        if (u + i) % 2 == 0 and (u * 7 + i) % 5
    ]
    graph = from_frame(pd.DataFrame(rows, columns=["user", "item"]))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = RelationEncoder(graph.metadata(), out_channels=8, num_layers=2)
    learner = MAML(encoder, adapt=("layers.*.shift.*",), inner_steps=1)
    return ColdStartRecommender(
        learner, channels=8, epochs=15, min_steps=1, batch_size=8, lr=0.02
    ).fit(graph)


def test_recommends_the_users_group_less_the_history(model: ColdStartRecommender) -> None:
    ranked = model.recommend(["i0", "i2", "i0"], k=6)
    ids = [item for item, _ in ranked]
    assert set(ids) == {"i4", "i6", "i8", "i10", "i12", "i14"}
    scores = [score for _, score in ranked]
    assert scores == sorted(scores, reverse=True)


def test_empty_history_ranks_the_catalogue(model: ColdStartRecommender) -> None:
    assert len({item for item, _ in model.recommend([], k=16)}) == 16


def test_same_call_same_answer(model: ColdStartRecommender) -> None:
    assert isinstance(model, Scorer)
    assert model.recommend(["i1", "i3"]) == model.recommend(["i1", "i3"])


@pytest.fixture(scope="module")
def split() -> ColdSplit:
    return split_cold_users(from_frame(planted_interactions(skew=0.3), time="time"), seed=0)


def small(**options: Any) -> ColdStartRecommender:
    return ColdStartRecommender(channels=8, batch_size=32, **{"min_steps": 1, **options})


def test_the_gate_is_what_validation_users_say(split: ColdSplit) -> None:
    model = small(epochs=2).fit(split.train, split.validation)
    assert set(model.gate) == {3, 5, 10}
    adapted, unadapted = (
        evaluate(scorer, split.validation, k=(3, 5, 10)).per_user.pivot(
            index="user", columns="k", values="ndcg@10"
        )
        for scorer in (model.adapted(), model.unadapted())
    )
    gain = (adapted - unadapted).to_numpy()
    least = gain.mean(0) - 2 * gain.std(0, ddof=1) / len(gain) ** 0.5
    assert model.gate == {k: bool(least[i] > 0) for i, k in enumerate((3, 5, 10))}
    support = split.test.support(5)
    chosen = model.adapted() if model.gate[5] else model.unadapted()
    assert torch.equal(model.score(support), chosen.score(support))
    assert not torch.equal(model.adapted().score(support), model.unadapted().score(support))


def test_whoever_has_shown_more_than_training_did_is_not_adapted(
    split: ColdSplit, tmp_path: Path
) -> None:
    model = small(epochs=1, k_max=4).fit(split.train)
    model.save(tmp_path / "model.gm")
    for known in (model, ColdStartRecommender.load(tmp_path / "model.gm")):
        assert known.is_adapted(4)
        assert not known.is_adapted(5)
        assert known.fitted.source(5) == "unadapted"
        assert known.adapt(known.train_graph["item"].id_map.ids[:5].tolist()).weights == {}
    several = split.test.support(5)
    assert torch.equal(model.score(several), model.unadapted().score(several))


def test_users_who_have_shown_much_stand_in_small_blocks(
    split: ColdSplit, monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer = small(epochs=0).fit(split.train).fitted
    n_items, shapes = len(split.test.item_ids), []
    sample = FewShotScorer.episodes

    def noted(self: FewShotScorer, support: Support) -> EpisodeBatch:
        shapes.append(tuple(support.item_index.shape))
        return sample(self, support)

    shown = torch.stack([torch.arange(n_items).roll(user)[:32] for user in range(40)])
    shown[:10, 2:] = -1
    alone = torch.cat([scorer.score(Support(row[None])) for row in shown])
    monkeypatch.setattr(FewShotScorer, "episodes", noted)
    together = scorer.score(Support(shown))
    # At most what 32 users of 16 items each have shown; then the users who are adapted.
    assert shapes == [(16, 32), (14, 32), (10, 2)]
    torch.testing.assert_close(together, alone)


def test_the_best_epoch_is_kept_and_training_stops_after_it(split: ColdSplit) -> None:
    model = small(epochs=30, patience=1, lr=0.5, without=("prior",)).fit(
        split.train, split.validation
    )
    figures = model.validation_scores
    assert len(figures) == len(model.losses) + 1 < 31
    assert figures[-1] <= max(figures[:-1])
    # In the order in which training saw them, which the neighbours' draws depend on.
    users = ValidationUsers(split.validation, seed=0).some
    again = evaluate(model.unadapted(), users, k=(1, 3, 5, 10)).per_user
    assert again["ndcg@10"].mean() == pytest.approx(max(figures))


def test_an_interrupted_fit_goes_on_to_the_same_scores(split: ColdSplit, tmp_path: Path) -> None:
    def interrupt(epoch: int, epochs: int, loss: float) -> None:
        raise KeyboardInterrupt

    file = tmp_path / "state.safetensors"
    whole = small(epochs=2).fit(split.train, split.validation)
    with pytest.raises(KeyboardInterrupt):
        small(epochs=2).fit(split.train, split.validation, checkpoint=file, on_epoch=interrupt)
    told: list[int] = []
    rest = small(epochs=2).fit(
        split.train, split.validation, checkpoint=file, on_epoch=lambda e, n, loss: told.append(e)
    )
    assert told == [2]
    assert rest.losses == whole.losses
    assert rest.validation_scores == whole.validation_scores
    support = split.test.support(3)
    assert torch.equal(rest.score(support), whole.score(support))


def test_shards_belong_to_the_checkpoint(split: ColdSplit, tmp_path: Path) -> None:
    file = tmp_path / "state.safetensors"
    whole = small(epochs=2, n_shards=2).fit(split.train)
    small(epochs=1, n_shards=2).fit(split.train, checkpoint=file)
    with pytest.raises(DataError, match=r"written with n_shards=2, this training has 1"):
        small(epochs=2).fit(split.train, checkpoint=file)
    rest = small(epochs=2, n_shards=2).fit(split.train, checkpoint=file)
    assert rest.losses == whole.losses != small(epochs=2).fit(split.train).losses
    support = split.test.support(3)
    assert torch.equal(rest.score(support), whole.score(support))


class SometimesNaN(MAML):
    """Every third outer loss is NaN."""

    n_calls = -2  # Two steps tell how much memory training will take.

    def outer_loss(self, *args: Any, **options: Any) -> torch.Tensor:
        self.n_calls += 1
        return super().outer_loss(*args, **options) * (torch.nan if self.n_calls % 3 == 0 else 1)


def test_training_stops_at_a_loss_that_is_not_finite_or_goes_on_as_asked(split: ColdSplit) -> None:
    def model(**options: Any) -> ColdStartRecommender:
        encoder = RelationEncoder(split.train.metadata(), out_channels=8)
        return small(learner=SometimesNaN(encoder), epochs=1, **options)

    with pytest.raises(NonFiniteError, match="epoch 1, step 3: the outer loss is nan"):
        model().fit(split.train)
    with pytest.warns(RuntimeWarning, match="outer steps of epoch 1 were left out"):
        fitted = model(on_non_finite="skip").fit(split.train)
    assert bool(fitted.score(split.test.support(3)).isfinite().all())


def test_training_that_does_not_fit_is_refused(
    split: ColdSplit, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The package's attribute of that name is the function.
    module = sys.modules["graphmeta.meta.estimate_memory"]
    monkeypatch.setattr(module, "COMPILED_LOOPS", 0)  # With numba and without.
    monkeypatch.setattr(module, "free_memory", lambda device: 19 * 2**20)
    with pytest.raises(OutOfMemoryError, match=r"19 MiB are free .* \d+ users .* not 32"):
        small(epochs=1).fit(split.train)
    small(epochs=0).fit(split.train)  # Nothing is trained.


def test_sampled_voters_rank_like_all(split: ColdSplit) -> None:
    scores = [
        small(epochs=0, num_voters=n).fit(split.train).score(split.test.support(3))
        for n in (None, 1000, -1, 1)
    ]
    torch.testing.assert_close(scores[0], scores[1], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(scores[0], scores[2], atol=1e-4, rtol=1e-4)
    assert not torch.allclose(scores[0], scores[3], atol=1e-2)


def test_listed_voters_train_like_all(split: ColdSplit) -> None:
    models = [small(epochs=1, max_steps=3, num_voters=n).fit(split.train) for n in (None, -1)]
    assert [model.fitted.sampler.num_voters for model in models] == [None, -1]
    assert models[0].losses == pytest.approx(models[1].losses, rel=1e-5)


def test_voters_are_listed_where_few_share_an_item() -> None:
    def graph_of(n_items: int) -> HeteroData:
        generator = torch.Generator().manual_seed(0)
        graph = HeteroData()
        graph["user"].num_nodes, graph["item"].num_nodes = 2_000, n_items
        item = torch.randint(n_items, (8_000,), generator=generator)
        graph[RATES].edge_index = torch.stack([torch.arange(8_000) // 4, item])
        return graph

    assert trained_recommender.voters_for(graph_of(8_000), k_max=10) == -1
    assert trained_recommender.voters_for(graph_of(100), k_max=10) is None


def test_scoring_holds_as_much_for_many_users_as_for_a_batch(split: ColdSplit) -> None:
    model = small(epochs=1).fit(split.train)
    item = torch.arange(3).repeat(256, 1) + torch.arange(256).unsqueeze(1) % 90
    peaks = []
    for n in (32, 32, 256):  # The first call makes what is kept for all.
        with LiveMemory() as memory:
            scores = model.score(Support(item[:n]))
        peaks.append(memory.peak - scores.numel() * 4 * (1 if n == 32 else 2))
    assert peaks[2] < 1.1 * peaks[1]


def test_candidates_are_scored_as_in_the_whole_catalogue(split: ColdSplit) -> None:
    model = small(epochs=0).fit(split.train)
    support = Support(torch.arange(3).repeat(40, 1) + torch.arange(40).unsqueeze(1))  # Two blocks.
    whole = model.score(support)
    some = torch.tensor([5, 0, 99])
    torch.testing.assert_close(model.score(support, candidates=some), whole[:, some])
    own = torch.randint(100, (40, 2), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(model.score(support, candidates=own), whole.gather(1, own))
    with pytest.raises(DataError, match="candidate row 100 is outside the catalogue of 100 items"):
        model.score(support, candidates=torch.tensor([1, 100]))


def test_scoring_with_sampled_voters_holds_no_more_with_more_training_users() -> None:
    peaks = []
    for n_users in (200, 2000):
        graph = from_frame(planted_interactions(n_users, 60, per_user=6), time="time")
        model = small(epochs=0, num_voters=2).fit(graph)
        support = Support(torch.arange(3).repeat(32, 1))
        model.score(support)  # The first call makes what is kept for all.
        with LiveMemory() as memory:
            model.score(support)
        peaks.append(memory.peak)
    assert peaks[1] < 1.2 * peaks[0]


def test_the_callers_random_state_is_left_alone(split: ColdSplit) -> None:
    before = torch.random.get_rng_state()
    small(epochs=1).fit(split.train).score(split.test.support(3))
    assert torch.equal(before, torch.random.get_rng_state())


def test_scoring_leaves_the_weights_alone(model: ColdStartRecommender) -> None:
    before = {n: p.clone() for n, p in model.learner.named_parameters()}
    model.score(Support(torch.tensor([[0, 1, 2]])))
    assert all(torch.equal(before[n], p) for n, p in model.learner.named_parameters())


def test_features_of_a_new_user_count(split: ColdSplit) -> None:
    train = split.train.clone()
    train["user"].x = torch.randn(
        int(train["user"].num_nodes), 2, generator=torch.Generator().manual_seed(0)
    )
    model = small(epochs=1).fit(train)
    user_x = torch.tensor([3.0, -3.0])
    assert model.recommend([], k=20, user_x=user_x) != model.recommend([], k=20)
    # Without features the popularity is left.
    bare = small(epochs=0).fit(split.train)
    assert model.recommend([], k=20) == bare.recommend([], k=20)
    with pytest.raises(DataError, match=r"user_x has shape \[3\], but training users have 2"):
        model.recommend([], user_x=torch.ones(3))
    with pytest.raises(DataError, match="training users have 0 features"):
        bare.recommend([], user_x=user_x)


def test_bad_input(model: ColdStartRecommender) -> None:
    with pytest.raises(UnknownIdError, match=r"history: 1 of 1 ids are unknown \(first: 'x'\)"):
        model.recommend(["x"])
    with pytest.raises(ConfigError, match=r"k=16 is outside 1\.\.15"):
        model.recommend(["i0"], k=16)
    with pytest.raises(DataError, match="not fitted"):
        ColdStartRecommender(model.learner).recommend([])
    with pytest.raises(ConfigError, match=r"epochs=-1 must be 0 or more"):
        ColdStartRecommender(epochs=-1)
    with pytest.raises(ConfigError, match=r"device='nowhere' cannot be used .*; use device='cpu'"):
        ColdStartRecommender(device="nowhere")
    with pytest.raises(ConfigError, match="item_start='warm' must be one of"):
        ColdStartRecommender(item_start="warm")  # type: ignore[arg-type]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_trains_and_scores_as_the_cpu_does(split: ColdSplit) -> None:
    options: dict[str, Any] = {"epochs": 1, "adapted_share": 1.0}
    scores = []
    for device in ("cpu", "cuda"):
        model = small(device=device, **options).fit(split.train, split.validation)
        found = model.adapted().score(split.test.support(3))
        assert found.device.type == device
        assert len(model.recommend(split.train["item"].id_map.ids[:3].tolist(), k=5)) == 5
        scores.append(found.cpu())
    torch.testing.assert_close(scores[0], scores[1], atol=1e-2, rtol=1e-2)


def test_an_encoder_that_does_not_fit_is_told_why() -> None:
    graph = from_frame(pd.DataFrame({"user": [1, 1, 2, 2], "item": [1, 2, 1, 2]}))
    encoder = RelationEncoder(graph.metadata(), out_channels=8)
    with pytest.raises(EncoderError, match="input width must be the 16 channels"):
        ColdStartRecommender(MAML(encoder), channels=16, epochs=1).fit(graph)
    with pytest.raises(ConfigError, match=r"learner is a RelationEncoder; wrap the encoder"):
        ColdStartRecommender(encoder)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="the module is wrapped in DataParallel, which does not"):
        ColdStartRecommender(torch.nn.DataParallel(MAML(encoder)))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="learner is a str; wrap the encoder"):
        ColdStartRecommender("maml")  # type: ignore[arg-type]


def test_without_the_prior_none_is_added_after_training(split: ColdSplit) -> None:
    model = ColdStartRecommender(channels=4, epochs=1, min_steps=1, without=("prior",))
    model.fit(split.train, split.validation)
    assert model.blend == {}
    assert model.fitted.head is not None
    assert not model.fitted.head.curve.values["prior"].any()


def test_a_share_of_the_history_trains_another_model(split: ColdSplit) -> None:
    losses = [
        ColdStartRecommender(channels=4, epochs=1, min_steps=1, support_share=share)
        .fit(split.train)
        .losses
        for share in (None, 0.5)
    ]
    assert losses[0] != losses[1]


def test_item_embeddings_may_be_given_to_start_from(split: ColdSplit) -> None:
    n_items = int(split.train["item"].num_nodes)
    factors = torch.rand(n_items, 8), torch.rand(n_items, 8)
    model = small(epochs=0).fit(split.train, items=ItemStatistics({}, factors=factors))
    assert torch.equal(model.fitted.head.table.output, factors[1])


def test_validation_users_may_choose_anew(split: ColdSplit) -> None:
    model = small().fit(split.train, split.validation)
    again = model.rechosen(split.validation)
    assert (again.gate, again.blend) == (model.gate, model.blend)
    bare = small().fit(split.train)
    assert not bare.gate
    assert bare.rechosen(split.validation).gate.keys() == model.gate.keys()
    support = split.test.support(3)
    torch.testing.assert_close(again.score(support), model.score(support))


def test_a_large_graph_gets_sampled_voters_which_are_saved(
    split: ColdSplit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert small(epochs=0).fit(split.train).fitted.sampler.num_voters is None
    monkeypatch.setattr(trained_recommender, "ALL_VOTE_UP_TO", 100)
    model = small(epochs=0).fit(split.train)
    assert model.fitted.sampler.num_voters == 16
    assert small(epochs=0, num_voters=3).fit(split.train).fitted.sampler.num_voters == 3
    monkeypatch.undo()
    model.save(tmp_path / "model.gm")
    loaded = ColdStartRecommender.load(tmp_path / "model.gm")
    assert loaded.fitted.sampler.num_voters == 16
    assert torch.equal(model.score(split.test.support(3)), loaded.score(split.test.support(3)))
