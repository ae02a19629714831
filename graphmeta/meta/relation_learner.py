"""The learner that a recommender uses where the caller gives none."""

from __future__ import annotations

from typing import Any

from graphmeta.encoders.relation import RelationEncoder
from graphmeta.encoders.weights_drawn_by import weights_drawn_by
from graphmeta.meta.maml import MAML
from graphmeta.tasks.relation_features import EDGE_DIM

# Few numbers per user: few edges can set no more.
ADAPTED = ("layers.*.scale.*", "layers.*.shift.*")


def relation_learner(
    metadata: tuple[list[str], list[tuple[str, str, str]]],
    *,
    channels: int = 64,
    inner_steps: int = 1,
    seed: int = 0,
    **options: Any,
) -> MAML:
    """Return MAML over a `RelationEncoder` with relation features, adapting scales and shifts.

    Args:
        metadata: The graph's `metadata()`.
        channels: Width of the embeddings.
        inner_steps: Gradient steps per user.
        seed: Draws the first weights.
        options: Further options of `MAML`.

    Raises:
        ConfigError: A number is out of its range.
    """
    with weights_drawn_by(seed):
        encoder = RelationEncoder(metadata, out_channels=channels, edge_dim=EDGE_DIM)
    return MAML(encoder, adapt=ADAPTED, inner_steps=inner_steps, **options)
