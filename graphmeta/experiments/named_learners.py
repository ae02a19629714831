"""The learners that experiments compare, by name."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn
from torch_geometric.data import HeteroData

from graphmeta.encoders.weights_drawn_by import weights_drawn_by
from graphmeta.experiments.named_encoders import ENCODERS, NamedEncoder
from graphmeta.meta import (
    ANIL,
    MAML,
    FineTuning,
    ImplicitMAML,
    Learner,
    MemoryAugmented,
    MetaCritic,
    MetaSGD,
    NeuralProcess,
    Prototypes,
    RelationNetwork,
    Reptile,
    RidgeHead,
)


def learners(
    encoder: NamedEncoder, *, channels: int, inner_steps: int = 1
) -> dict[str, Callable[[nn.Module], Learner]]:
    """Return what wraps an encoder, by the learner's name.

    Args:
        encoder: Says which parameters adapt.
        channels: Width of the embeddings.
        inner_steps: Adaptation steps of the gradient learners whose paper sets no more.
    """
    adapt, steps = encoder.adapt, inner_steps
    return {
        "maml": lambda e: MAML(e, adapt=adapt, inner_steps=steps),
        "maml-second-order": lambda e: MAML(e, adapt=adapt, inner_steps=steps, first_order=False),
        "meta-sgd": lambda e: MetaSGD(e, adapt=adapt, inner_steps=steps),
        "anil": lambda e: ANIL(e, inner_steps=steps),
        "reptile": lambda e: Reptile(e, adapt=adapt),
        "implicit-maml": lambda e: ImplicitMAML(e, adapt=adapt),
        "meta-critic": lambda e: MetaCritic(e, channels=channels, adapt=adapt, inner_steps=steps),
        "memory": lambda e: MemoryAugmented(e, channels=channels, adapt=adapt, inner_steps=steps),
        "neural-process": lambda e: NeuralProcess(e, channels=channels, adapt=adapt),
        "relation-network": lambda e: RelationNetwork(e, channels=channels),
        "prototypes": lambda e: Prototypes(e, channels=channels),
        "ridge": RidgeHead,
        "fine-tuning": lambda e: FineTuning(e, adapt=adapt, inner_steps=steps),
    }


LEARNERS = tuple(learners(ENCODERS["relation"], channels=1))


def build_learner(
    name: str, encoder: str, train: HeteroData, *, channels: int, inner_steps: int = 1, seed: int
) -> Learner:
    """Return an untrained learner over an encoder, both by name.

    Args:
        name: One of `LEARNERS`.
        encoder: One of `ENCODERS`.
        train: The training graph.
        channels: Width of the embeddings.
        inner_steps: As in `learners`.
        seed: Draws the first weights.

    Raises:
        ConfigError: A setting does not fit the encoder.
    """
    chosen = ENCODERS[encoder]
    wrap = learners(chosen, channels=channels, inner_steps=inner_steps)[name]
    with weights_drawn_by(seed):
        return wrap(chosen.build(train.metadata(), channels))
