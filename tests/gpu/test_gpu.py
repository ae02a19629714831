"""What runs on the processor runs on a GPU, to the same results; skipped where there is none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch_geometric.data import HeteroData

from graphmeta.ask import Interview
from graphmeta.data import from_frame, planted_interactions, split_cold_users
from graphmeta.data.cold_users import ColdSplit, Support
from graphmeta.encoders import CatalogueHead
from graphmeta.experiments.named_encoders import ENCODERS
from graphmeta.experiments.named_learners import LEARNERS, build_learner
from graphmeta.explain import explain_ranking
from graphmeta.explore import Explorer
from graphmeta.meta import MetaTrainer, estimate_memory
from graphmeta.meta.estimate_memory import free_memory
from graphmeta.meta.outer_loss import OuterDraw, OuterLoss
from graphmeta.privacy import PrivateTraining, open_users, part_users
from graphmeta.ranking import ColdStartRecommender, evaluate
from graphmeta.ranking.linear_part import Linear, LinearPart
from graphmeta.rerank import LongTailReranker
from graphmeta.tasks.episode_loader import EpisodeLoader
from graphmeta.tasks.episode_sampler import EpisodeSampler

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
GPU = torch.device("cuda")
CHANNELS = 16


@pytest.fixture(scope="module")
def split() -> ColdSplit:
    graph = from_frame(planted_interactions(), rating="rating", time="time")
    return split_cold_users(graph, seed=0)


@pytest.fixture(scope="module")
def on_cpu(split: ColdSplit) -> ColdStartRecommender:
    return ColdStartRecommender(epochs=2, channels=CHANNELS).fit(split.train, split.validation)


@pytest.fixture
def on_gpu(on_cpu: ColdStartRecommender, tmp_path: Path) -> ColdStartRecommender:
    on_cpu.save(tmp_path / "model.gm")
    return ColdStartRecommender.load(tmp_path / "model.gm", device=GPU)


def close(on_gpu: Tensor, on_cpu: Tensor) -> None:
    torch.testing.assert_close(on_gpu.cpu(), on_cpu, rtol=1e-3, atol=1e-4)


def agrees(learner: str, encoder: str, graph: HeteroData, **options: Any) -> None:
    """Check adapted scores, the outer loss and its gradients against those of the processor."""
    found = []
    for device in (torch.device("cpu"), GPU):
        model = build_learner(learner, encoder, graph, channels=CHANNELS, seed=0).to(device)
        head = CatalogueHead(graph, channels=CHANNELS).to(device)
        sampler = EpisodeSampler(graph, num_neighbors=(4, 4), num_voters=options.get("num_voters"))
        loader = EpisodeLoader(graph, sampler=sampler, k_max=4)
        num_sampled = options.get("num_sampled")
        outer = OuterLoss(model, head, loader, adapted_share=1.0, num_sampled=num_sampled)
        draw, generator = OuterDraw(4, False, True), torch.Generator().manual_seed(0)
        loss = outer(torch.arange(24), draw, generator)
        loss.backward()
        modules = nn.ModuleDict({"learner": model, "head": head})
        gradients = {n: p.grad for n, p in modules.named_parameters() if p.grad is not None}
        support = Support(torch.tensor([[0, 2, 5, 7], [1, 3, 4, 9]]))
        episodes = sampler.sample(support, seed=0).to(device)
        modules.eval()
        scores = model.score(episodes, model.adapt(episodes, head), head).detach()
        found.append((loss.detach(), scores, gradients))
    (loss, scores, gradients), (gpu_loss, gpu_scores, gpu_gradients) = found
    close(gpu_loss, loss)
    close(gpu_scores, scores)
    assert gradients.keys() == gpu_gradients.keys()
    for name, gradient in gradients.items():
        close(gpu_gradients[name], gradient)


@pytest.mark.parametrize("learner", LEARNERS)
def test_a_learner_agrees(learner: str, split: ColdSplit) -> None:
    agrees(learner, "relation", split.train)


@pytest.mark.parametrize("encoder", [name for name in ENCODERS if name != "relation"])
def test_an_encoder_agrees(encoder: str, split: ColdSplit) -> None:
    agrees("maml", encoder, split.train)


@pytest.mark.parametrize("options", [{"num_sampled": 40}, {"num_voters": 4}])
def test_sampled_training_agrees(options: dict[str, int], split: ColdSplit) -> None:
    agrees("maml", "relation", split.train, **options)


def test_a_model_of_the_processor_ranks_alike(
    on_cpu: ColdStartRecommender, on_gpu: ColdStartRecommender, split: ColdSplit
) -> None:
    support = split.test.support(3)
    close(on_gpu.score(support), on_cpu.score(support))
    history = [on_cpu.item_ids.ids[i] for i in (0, 5, 9)]
    wanted, found = (model.recommend(history, k=10) for model in (on_cpu, on_gpu))
    assert found.items == wanted.items


def test_well_known_users_are_scored_alike(
    on_cpu: ColdStartRecommender, on_gpu: ColdStartRecommender, split: ColdSplit
) -> None:
    assert on_gpu.rechosen(split.validation).linear == on_cpu.rechosen(split.validation).linear
    support, found = split.test.support(8), []
    for model in (on_cpu, on_gpu):
        scorer = model.fitted
        part = LinearPart.of_graph(split.train, Linear(1e2, 5.0, 3), device=scorer.device)
        found.append(replace(scorer, linear=part).score(support))
    close(found[1], found[0])


def test_pruned_ranking_agrees(split: ColdSplit) -> None:
    model = ColdStartRecommender(epochs=0, channels=CHANNELS, num_voters=8, device=GPU)
    scorer = model.fit(split.train).fitted
    allowed = torch.ones(len(scorer.head.bias), dtype=torch.bool)
    support = split.test.support(3)
    wanted = scorer.best(support, k=10, allowed=allowed)
    scorer.head.pruned_above = 1
    assert scorer.head.prunes(scorer.episodes(support))
    close(scorer.best(support, k=10, allowed=allowed)[1], wanted[1])


def test_all_that_asks_a_model(
    on_cpu: ColdStartRecommender, on_gpu: ColdStartRecommender, split: ColdSplit
) -> None:
    """A state goes to the other device; explaining, asking, exploring and reordering agree."""
    shown, more = [on_cpu.item_ids.ids[i] for i in (0, 5, 9)], [on_cpu.item_ids.ids[20]]

    def told(model: ColdStartRecommender) -> list[object]:
        why = explain_ranking(model, shown, k=3)
        reordered = model.with_reranker(LongTailReranker(split.train, strength=0.7))
        return [
            why.parts["item"].tolist(),
            Interview(model).next(shown, n=3),
            Explorer(model, policy="greedy").next(shown, more, n=3),
            reordered.recommend(shown, k=5).items,
            model.with_niche(0.5).recommend(shown, k=5).items,
            model.refreshed(split.train).recommend(shown, k=5).items,
        ]

    assert told(on_gpu) == told(on_cpu)
    state = on_cpu.adapt(shown)
    assert on_gpu.recommend(on_gpu.update(state, more), k=5).items == (
        on_cpu.recommend(on_cpu.update(state, more), k=5).items
    )


def test_private_training_there(split: ColdSplit) -> None:
    open_graph, private = part_users(split.train, open_users(split.train, 0.5))
    training = PrivateTraining(epsilon=8, delta=1e-5, n_steps=2, batch_size=30)
    model = ColdStartRecommender(channels=CHANNELS, epochs=1, device=GPU)
    found = training.fit(model, open_graph, private, split.validation).model
    assert found.score(split.test.support(3)).device.type == GPU.type


def test_training_there_learns_the_same(split: ColdSplit, on_cpu: ColdStartRecommender) -> None:
    model = ColdStartRecommender(epochs=2, channels=CHANNELS, device=GPU)
    model.fit(split.train, split.validation)
    assert model.losses == pytest.approx(on_cpu.losses, abs=1e-2)
    found = [evaluate(m, split.test, k=(1, 3)).per_user["ndcg@10"] for m in (model, on_cpu)]
    assert found[0].mean() == pytest.approx(found[1].mean(), abs=0.03)


def test_mixed_precision_learns(split: ColdSplit, on_cpu: ColdStartRecommender) -> None:
    model = ColdStartRecommender(epochs=2, channels=CHANNELS, device=GPU, precision="bfloat16")
    model.fit(split.train, split.validation)
    assert model.losses == pytest.approx(on_cpu.losses, abs=3e-2)
    assert all(weight.dtype == torch.float32 for weight in model.fitted.head.parameters())


def test_an_interrupted_training_goes_on(split: ColdSplit, tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    def stop(epoch: int, epochs: int, loss: float) -> None:
        raise Stop

    def fit(**more: Any) -> ColdStartRecommender:
        model = ColdStartRecommender(epochs=2, channels=CHANNELS, device=GPU)
        return model.fit(split.train, checkpoint=tmp_path / "state.safetensors", **more)

    with pytest.raises(Stop):
        fit(on_epoch=stop)
    resumed = fit()
    whole = ColdStartRecommender(epochs=2, channels=CHANNELS, device=GPU).fit(split.train)
    assert resumed.losses == pytest.approx(whole.losses, abs=1e-3)
    resumed.save(tmp_path / "model.gm")
    loaded = ColdStartRecommender.load(tmp_path / "model.gm")
    close(resumed.score(split.test.support(3)), loaded.score(split.test.support(3)))


@pytest.fixture
def nccl(tmp_path: Path) -> Iterator[None]:
    torch.cuda.set_device(0)
    store = f"file://{tmp_path / 'store'}"
    dist.init_process_group("nccl", init_method=store, rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("nccl")
def test_a_process_group_of_gpus(split: ColdSplit) -> None:
    model = ColdStartRecommender(epochs=1, channels=CHANNELS, device=GPU, n_shards=2)
    model.fit(split.train, split.validation)
    alone = ColdStartRecommender(epochs=1, channels=CHANNELS, n_shards=2).fit(split.train)
    assert model.losses == pytest.approx(alone.losses, abs=1e-3)


def test_memory_is_known_beforehand(split: ColdSplit) -> None:
    graph = split.train
    learner = build_learner("maml", "relation", graph, channels=64, seed=0).to(GPU)
    head = CatalogueHead(graph, channels=64).to(GPU)
    loader = EpisodeLoader(graph, sampler=EpisodeSampler(graph, num_neighbors=(4, 4)))
    told = estimate_memory(learner, head, loader)
    trainer = MetaTrainer(learner, head, loader, adapted_share=1.0)
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    trainer.run_epoch()
    assert (torch.cuda.max_memory_allocated() - before) / told.total == pytest.approx(1, abs=0.25)
    assert free_memory(GPU) > 2**20
