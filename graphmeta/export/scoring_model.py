"""The scoring path of a trained model as an ONNX graph."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch

from graphmeta.data.cold_users import Support
from graphmeta.errors import EncoderError, OutputError
from graphmeta.export.named_inputs import (
    FAST,
    N_USERS,
    OF_HEAD,
    SUPPORT,
    VOTERS,
    axes_of,
    named_inputs,
)
from graphmeta.export.onnx_graph import as_model, for_each_user, traced
from graphmeta.export.scoring_inputs import fast_weights_by_gate
from graphmeta.export.scoring_modules import CatalogueScores, UserEncoder
from graphmeta.meta.learner import USER, FastWeights
from graphmeta.meta.ridge_head import RidgeHead
from graphmeta.ranking.few_shot_scorer import FewShotScorer
from graphmeta.tasks.episode import EpisodeBatch

if TYPE_CHECKING:
    import onnx

# What one file of protobuf may hold.
MOST_BYTES = 2**31 - 1
# With a dot: a name that no operation has.
EMBEDDING, SCORES = "user.embedding", "scores"
# Between the scores of model and trace; rounding makes some 1e-6.
TOLERANCE = 1e-3


@torch.no_grad()
def scoring_model(scorer: FewShotScorer) -> onnx.ModelProto:
    """Return the model that takes `named_inputs` and returns the scores.

    Args:
        scorer: A trained model on the CPU, whose score is that of encoder and head.

    Raises:
        EncoderError: The encoder cannot be traced, or the trace scores otherwise.
        OutputError: The model exceeds what one file holds.
    """
    inputs = named_inputs(*_example(scorer, n_users=2, size=3))
    of_head = {name: x for name, x in inputs.items() if name in OF_HEAD}
    graphs = []
    if isinstance(scorer.learner, RidgeHead):
        embedding = {FAST + USER: inputs[FAST + USER]}
    else:
        of_user = {name: x[0] for name, x in inputs.items() if name not in (SUPPORT, VOTERS)}
        axes = {name: [at - 1 for at in axes_of(name) if at] for name in of_user}
        graphs.append(traced(UserEncoder(scorer, [*of_user]), of_user, axes, EMBEDDING))
        embedding = {EMBEDDING: torch.zeros(len(inputs[SUPPORT]), scorer.head.table.channels)}
    of_head = {**embedding, **of_head}
    axes = {name: [*axes_of(name)] for name in of_head}
    graphs.append(traced(CatalogueScores(scorer, [*of_head]), of_head, axes, SCORES))
    _refuse_too_large(graphs)
    *bodies, head = graphs
    nodes = [*(for_each_user(body, EMBEDDING) for body in bodies), *head.node]
    output_axes: list[str | int] = [N_USERS, len(scorer.head.bias)]
    named_axes = {name: axes_of(name) for name in inputs}
    model = as_model(nodes, head.initializer, inputs, named_axes, SCORES, output_axes)
    _refuse_other_scores(scorer, model)
    return model


def _example(
    scorer: FewShotScorer, *, n_users: int, size: int
) -> tuple[FewShotScorer, EpisodeBatch, FastWeights]:
    """Return what the inputs of users are made from who have shown the most popular items."""
    popular = scorer.head.vote.item_degree.argsort(descending=True)[:size]
    episodes = scorer.episodes(Support(popular.repeat(n_users, 1)))
    return scorer, episodes, fast_weights_by_gate(scorer, episodes)


def _refuse_other_scores(scorer: FewShotScorer, model: onnx.ModelProto) -> None:
    """Refuse a model that scores a user unlike those that it was traced with otherwise."""
    from onnx.reference import ReferenceEvaluator

    _, episodes, fast = example = _example(scorer, n_users=1, size=1)
    inputs = {name: x.numpy() for name, x in named_inputs(*example).items()}
    (found,) = ReferenceEvaluator(model).run(None, inputs)
    wanted = scorer.learner.score(episodes, fast, scorer.head)
    wanted = scorer.finished(wanted, episodes.support)
    difference = float((torch.from_numpy(found) - wanted).abs().max())
    if not difference <= TOLERANCE:
        raise EncoderError(
            f"the traced scores of a user differ by {difference:.1g} from the model's; what the "
            "encoder does must not depend on the number of its nodes and edges"
        )


def _refuse_too_large(graphs: Iterable[onnx.GraphProto]) -> None:
    size = sum(len(constant.raw_data) for graph in graphs for constant in graph.initializer)
    if size > MOST_BYTES:
        raise OutputError(
            f"the model's constants take {size / 2**30:.1f} GiB, and one ONNX file holds 2; lower "
            "channels, or train on fewer users or items"
        )
