"""The estimate against what a step holds, and the refusal."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch

from graphmeta.compiled import has_numba
from graphmeta.data import from_frame, planted_interactions
from graphmeta.encoders import CatalogueHead
from graphmeta.errors import ConfigError, GraphMetaError, OutOfMemoryError
from graphmeta.experiments.named_learners import build_learner
from graphmeta.meta import LiveMemory, estimate_memory
from graphmeta.meta.estimate_memory import (
    ALLOCATOR_SHARE,
    COMPILED_LOOPS,
    FIRST_STEP,
    MIB,
    MemoryEstimate,
    _free_of_container,
    free_memory,
    refuse_out_of_memory,
)
from graphmeta.meta.outer_loss import OuterDraw, OuterLoss
from graphmeta.meta.weight_average import WeightAverage
from graphmeta.tasks import EpisodeLoader, EpisodeSampler

GRAPH = from_frame(planted_interactions(300, 200, per_user=15), time="time")
SAMPLER = EpisodeSampler(GRAPH, num_neighbors=(4, 4))


def loader_of(**options: Any) -> EpisodeLoader:
    return EpisodeLoader(GRAPH, sampler=SAMPLER, **options)


@pytest.mark.parametrize(
    ("learner", "encoder"),
    [("maml", "relation"), ("ridge", "relation"), ("maml", "sage"), ("prototypes", "hgt")],
)
def test_a_step_holds_what_was_estimated(learner: str, encoder: str) -> None:
    model = build_learner(learner, encoder, GRAPH, channels=8, seed=0)
    head = CatalogueHead(GRAPH, channels=8)
    loader = loader_of(batch_size=128, k_max=5)
    found = estimate_memory(model, head, loader)
    outer_loss = OuterLoss(model.train(), head, loader, adapted_share=1.0)
    modules = torch.nn.ModuleList([model, head])
    optimizer = torch.optim.AdamW(modules.parameters())
    generator = torch.Generator().manual_seed(1)
    with LiveMemory() as memory:
        average = WeightAverage(dict(modules.named_parameters()))
        for users in loader.user_batches(generator):
            optimizer.zero_grad()
            outer_loss(users, OuterDraw(5, in_order=False, is_adapted=True), generator).backward()
            optimizer.step()
            average.note_step()
    assert found.optimizer + found.step == pytest.approx(memory.peak, rel=0.25)
    loaded = FIRST_STEP + (COMPILED_LOOPS if has_numba() else 0)
    assert found.allocator == int(ALLOCATOR_SHARE * (found.optimizer + found.step) + loaded)


def test_shards_take_less_and_nothing_is_changed() -> None:
    model = build_learner("maml", "sage", GRAPH, channels=8, seed=0).eval()
    head = CatalogueHead(GRAPH, channels=8)
    next(model.parameters()).grad = torch.ones_like(next(model.parameters()))
    before = copy.deepcopy(model.state_dict())
    loader = loader_of(batch_size=200)
    whole, half = (estimate_memory(model, head, loader, n_shards=n) for n in (1, 2))
    assert half.per_user == whole.per_user
    assert half.total + 80 * whole.per_user < whole.total
    assert not model.training
    assert all(torch.equal(before[n], value) for n, value in model.state_dict().items())
    first, *others = model.parameters()
    assert bool((first.grad == 1).all())
    assert all(parameter.grad is None for parameter in (*others, *head.parameters()))


def test_what_does_not_fit_is_refused_with_the_setting_to_lower() -> None:
    cpu = torch.device("cpu")
    estimate = MemoryEstimate(100 * MIB, 800 * MIB, allocator=0, per_user=8 * MIB, n_users=100)
    refuse_out_of_memory(estimate, device=cpu, free=1001 * MIB)
    with pytest.raises(
        OutOfMemoryError, match=r"needs 900 MiB .* 500 MiB are free on cpu"
    ) as found:
        refuse_out_of_memory(estimate, device=cpu, free=500 * MIB)
    # 450 of the 500, less 100 for the optimiser, at 8 a user.
    assert "43 users at once fit, not 100; lower batch_size or raise n_shards" in str(found.value)
    assert isinstance(found.value, MemoryError)
    assert isinstance(found.value, GraphMetaError)
    with pytest.raises(OutOfMemoryError, match="not even one user fits; lower channels"):
        refuse_out_of_memory(estimate, device=cpu, free=50 * MIB)
    assert (free_memory(cpu) or 0) > 100 * MIB


def test_a_containers_files_are_no_use_of_memory(tmp_path: Path) -> None:
    assert _free_of_container(tmp_path) is None
    (tmp_path / "memory.current").write_text("900\n")
    (tmp_path / "memory.stat").write_text("anon 300\nactive_file 200\ninactive_file 400\n")
    (tmp_path / "memory.max").write_text("1000\n")
    assert _free_of_container(tmp_path) == 700
    (tmp_path / "memory.max").write_text("max\n")
    assert _free_of_container(tmp_path) is None


def test_bad_input() -> None:
    model = build_learner("maml", "sage", GRAPH, channels=8, seed=0)
    head = CatalogueHead(GRAPH, channels=8)
    with pytest.raises(ConfigError, match="n_shards=0 must be at least 1"):
        estimate_memory(model, head, loader_of(), n_shards=0)
