"""Mixed precision: products of fewer digits, weights and votes of all."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.data import HeteroData

from graphmeta.encoders import CatalogueHead
from graphmeta.encoders.interaction_matrix import InteractionMatrix
from graphmeta.errors import ConfigError
from graphmeta.meta import MAML, MetaTrainer
from graphmeta.meta.outer_loss import OuterDraw, OuterLoss
from graphmeta.meta.precision import Precision, computing_in
from graphmeta.ranking import ColdStartRecommender
from graphmeta.tasks.episode_loader import EpisodeLoader
from graphmeta.tasks.episode_sampler import EpisodeSampler

CPU = torch.device("cpu")


def test_products_have_fewer_digits_and_sums_do_not() -> None:
    x = torch.rand(4, 4)
    with computing_in("bfloat16", device=CPU):
        product, share = x @ x, x.softmax(1)
    assert (product.dtype, share.dtype) == (torch.bfloat16, torch.float32)
    with computing_in("float32", device=CPU):
        assert (x @ x).dtype == torch.float32


def test_a_precision_that_is_not_there() -> None:
    with pytest.raises(ConfigError, match="precision='float16' must be one of"):
        ColdStartRecommender(precision="float16")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="cannot be had on 'meta'; use precision='float32'"):
        computing_in("bfloat16", device=torch.device("meta"))


def test_the_votes_count_exactly() -> None:
    matrix = InteractionMatrix(torch.tensor([[0, 0, 1], [0, 1, 1]]), num_users=2, num_items=2)
    x = torch.tensor([[1.0, 1 + 2**-20]])
    with computing_in("bfloat16", device=CPU):
        assert torch.equal(matrix.to_users(x), torch.tensor([[2 + 2**-20, 1 + 2**-20]]))
        few_digits = matrix.to_users(x.bfloat16())
    assert few_digits.dtype == torch.float32


def loader_of(graph: HeteroData) -> EpisodeLoader:
    sampler = EpisodeSampler(graph, num_neighbors=(2, 2))
    return EpisodeLoader(graph, sampler=sampler, k_max=3)


def gradients(
    encoder: nn.Module, head: CatalogueHead, graph: HeteroData, precision: Precision
) -> dict[str, Tensor]:
    """Return the gradients of an adapted outer step, by name."""
    learner = MAML(encoder, inner_steps=1)
    outer_loss = OuterLoss(
        learner,
        head,
        loader_of(graph),
        adapted_share=1.0,
        precision=precision,
    )
    modules = nn.ModuleDict({"learner": learner, "head": head})
    modules.zero_grad()
    draw, generator = OuterDraw(3, False, True), torch.Generator().manual_seed(0)
    outer_loss(outer_loss.loader.users, draw, generator).backward()
    return {n: p.grad.clone() for n, p in modules.named_parameters() if p.grad is not None}


def test_gradients_are_nearly_the_same(
    encoder: nn.Module, head: CatalogueHead, graph: HeteroData
) -> None:
    exact, mixed = (gradients(encoder, head, graph, p) for p in ("float32", "bfloat16"))
    assert exact.keys() == mixed.keys()
    assert all(g.dtype == torch.float32 for g in mixed.values())
    one, other = (torch.cat([g.flatten() for g in found.values()]) for found in (exact, mixed))
    assert not torch.equal(one, other)
    assert float((one - other).norm() / one.norm()) < 0.05


def test_training_and_its_state_are_float32(
    encoder: nn.Module, head: CatalogueHead, graph: HeteroData
) -> None:
    trainer = MetaTrainer(MAML(encoder), head, loader_of(graph), precision="bfloat16")
    trainer.run_epoch()
    kinds = {value.dtype for name, value in trainer.state().items() if "optimizer" in name}
    assert kinds | {w.dtype for w in trainer.weights().values()} == {torch.float32}
