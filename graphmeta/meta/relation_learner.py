"""The learner that a recommender uses where the caller gives none."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from graphmeta.data.links import TRUSTS
from graphmeta.encoders.relation import RelationEncoder
from graphmeta.encoders.weights_drawn_by import weights_drawn_by
from graphmeta.meta.learner import Learner
from graphmeta.meta.maml import MAML
from graphmeta.tasks.relation_features import EDGE_DIM

# Few numbers per user: few edges can set no more.
ADAPTED = ("layers.*.scale.*", "layers.*.shift.*")


def scale_and_shift_maml(encoder: nn.Module) -> MAML:
    """Return MAML that adapts the scales and shifts of a `RelationEncoder` by one step."""
    return MAML(encoder, adapt=ADAPTED, inner_steps=1)


def relation_learner(
    metadata: tuple[list[str], list[tuple[str, str, str]]],
    *,
    channels: int = 64,
    seed: int = 0,
    wrap: Callable[[nn.Module], Learner] = scale_and_shift_maml,
) -> Learner:
    """Return a learner over a `RelationEncoder` with relation features.

    Args:
        metadata: The graph's `metadata()`.
        channels: Width of the embeddings.
        seed: Draws the first weights.
        wrap: Makes the learner, such as a learner class.

    Raises:
        ConfigError: A number is out of its range.
    """
    node_types, edge_types = metadata
    # Episodes are of interactions; links vote in the head.
    metadata = node_types, [edge_type for edge_type in edge_types if edge_type != TRUSTS]
    with weights_drawn_by(seed):
        encoder = RelationEncoder(metadata, out_channels=channels, edge_dim=EDGE_DIM)
        return wrap(encoder)
