"""The recommender of the run, as the settings describe it."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn
from torch_geometric.data import HeteroData

from graphmeta.experiments.settings import ColdStartSettings
from graphmeta.meta import ANIL, MAML, Learner, MetaSGD, RidgeHead, relation_learner
from graphmeta.meta.relation_learner import ADAPTED
from graphmeta.ranking import ColdStartRecommender


def build_recommender(
    settings: ColdStartSettings, train: HeteroData, *, seed: int, is_meta: bool = True
) -> ColdStartRecommender:
    """Return an untrained recommender whose weights start from `seed`.

    Args:
        settings: The run's settings.
        train: The training graph.
        seed: Draws weights and episodes.
        is_meta: Train through adaptation; otherwise the encoder is trained without inner steps.

    Raises:
        ConfigError: A setting does not fit the encoder.
    """
    wrap = _wrapper(settings) if is_meta else _never_adapting
    learner = relation_learner(train.metadata(), channels=settings.channels, seed=seed, wrap=wrap)
    return ColdStartRecommender(
        learner,
        channels=settings.channels,
        num_neighbors=(settings.users_per_item, settings.items_per_user),
        epochs=settings.trained_epochs,
        patience=settings.patience,
        batch_size=settings.batch_size,
        lr=settings.lr,
        k_max=settings.k_max or 10,
        adapted_share=settings.adapted_share,
        device=settings.device,
        seed=seed,
    )


def _wrapper(settings: ColdStartSettings) -> Callable[[nn.Module], Learner]:
    steps = settings.inner_steps
    wrappers: dict[str, Callable[[nn.Module], Learner]] = {
        "maml": lambda encoder: MAML(encoder, adapt=ADAPTED, inner_steps=steps),
        "meta-sgd": lambda encoder: MetaSGD(encoder, adapt=ADAPTED, inner_steps=steps),
        "anil": lambda encoder: ANIL(encoder, inner_steps=steps),
        "ridge": RidgeHead,
    }
    return wrappers[settings.learner]


def _never_adapting(encoder: nn.Module) -> Learner:
    return MAML(encoder, adapt=ADAPTED, inner_steps=0)
