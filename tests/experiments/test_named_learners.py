"""Every named learner on every named encoder, and the table in the docs that says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from graphmeta.data import Support, from_frame, planted_interactions
from graphmeta.encoders import CatalogueHead
from graphmeta.encoders.weights_drawn_by import weights_drawn_by
from graphmeta.errors import EncoderError
from graphmeta.experiments.named_encoders import ENCODERS, NamedEncoder
from graphmeta.experiments.named_learners import LEARNERS, build_learner, learners
from graphmeta.meta import check_learner, query_loss
from graphmeta.tasks import EpisodeBatch, EpisodeSampler
from graphmeta.tasks.episode import EdgeType

CHANNELS = 4
GRAPH = from_frame(planted_interactions(30, 20, per_user=6), time="time")
TABLE = Path(__file__).parents[2] / "docs" / "encoders.md"


def episodes() -> EpisodeBatch:
    support = Support(torch.tensor([[0, 1, 2], [3, 4, -1], [5, -1, -1], [-1, -1, -1]]))
    sampler = EpisodeSampler(GRAPH, num_neighbors=(2, 2))
    return sampler.sample(support, generator=torch.Generator().manual_seed(0))


def moved(module: nn.Module) -> nn.Module:
    """Return the module with its weights away from special starts such as zero."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return module


class WritesInPlace(nn.Module):
    """Scatters in place into a tensor that is no user's own, which `vmap` cannot batch."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, x_dict: dict[str, Tensor], edges: dict[EdgeType, Tensor]) -> Any:
        total = torch.zeros(CHANNELS)
        total.add_(x_dict["item"].sum(0))
        return {t: x + 0 * total for t, x in self.encoder(x_dict, edges).items()}


COLUMNS = {
    **ENCODERS,
    "writes in place": NamedEncoder(
        lambda metadata, channels: WritesInPlace(ENCODERS["sage"].build(metadata, channels))
    ),
}


def verdict(learner: str, encoder: NamedEncoder) -> str:
    """Return how a learner adapts an encoder: in a batch, in a loop, or not."""
    head = CatalogueHead(GRAPH, channels=CHANNELS)
    with weights_drawn_by(0):
        wrap = learners(encoder, channels=CHANNELS)[learner]
        model = moved(wrap(encoder.build(GRAPH.metadata(), CHANNELS))).eval()
    for is_batched, word in ((True, "batch"), (False, "loop")):
        model.is_batched = is_batched
        try:
            check_learner(model, episodes(), head)
        except EncoderError:
            continue
        return word
    return "no"


def test_the_table_in_the_docs_is_what_the_contract_says() -> None:
    lines = [
        f"| {learner} | {' | '.join(verdict(learner, e) for e in COLUMNS.values())} |"
        for learner in LEARNERS
    ]
    header = f"| learner | {' | '.join(COLUMNS)} |"
    table = "\n".join([header, "| :-- |" + " :-- |" * len(COLUMNS), *lines])
    assert table in TABLE.read_text(), f"docs/encoders.md should hold:\n{table}"


@pytest.mark.parametrize("encoder", ENCODERS)
def test_an_encoder_gives_a_user_the_same_embedding_alone_and_in_a_batch(encoder: str) -> None:
    head = CatalogueHead(GRAPH, channels=CHANNELS)
    model = moved(build_learner("maml", encoder, GRAPH, channels=CHANNELS, seed=0)).eval()
    batch = episodes()
    x_dict = head.x_dict(batch)
    found = model.encode(batch, model.shared_weights(4), x_dict)
    edge_attr = (batch.edge_attr_dict,) if getattr(model.encoder, "edge_dim", 0) else ()
    for row in range(4):
        parts = [
            {name: value[row] for name, value in part.items()}
            for part in (x_dict, batch.edge_index_dict, *edge_attr)
        ]
        torch.testing.assert_close(found[row], model.encoder(*parts)["user"][0])
    # Different users differ, so that there is something to embed.
    assert len(found.detach().numpy().round(5).tolist()) == 4
    assert not torch.allclose(found[0], found[1], atol=1e-4)


@pytest.mark.parametrize("learner", LEARNERS)
def test_training_reaches_encoder_and_learner(learner: str) -> None:
    head = CatalogueHead(GRAPH, channels=CHANNELS)
    model = build_learner(learner, "relation", GRAPH, channels=CHANNELS, seed=0).train()
    seen = torch.zeros(4, 20).scatter(1, torch.tensor([[0, 1, 2, 9, 10]] * 4), 1.0)
    seen[1, [3, 4]] = 1.0
    seen[2, 5] = 1.0
    batch = episodes()[0:3]
    loss = model.outer_loss(
        batch, head, seen[:3], is_adapted=True, generator=torch.Generator().manual_seed(0)
    )
    loss.backward()
    groups = model.parameter_groups(0.1)
    assert [group["lr"] for group in groups] in ([0.1], [0.1, 1.0])
    held = [parameter for group in groups for parameter in group["params"]]
    assert len(held) == len({id(p) for p in held}) == len(list(model.parameters()))
    for group in groups:
        assert any(p.grad is not None and bool((p.grad != 0).any()) for p in group["params"])
    # Unadapted users are scored by the shared weights, whatever the learner.
    plain = model.outer_loss(batch, head, seen[:3], is_adapted=False)
    scores = model.score(batch, model.shared_weights(3), head)
    torch.testing.assert_close(plain, query_loss(scores, batch.support, seen[:3]))
