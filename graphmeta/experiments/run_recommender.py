"""The recommender of the run, as the settings describe it."""

from __future__ import annotations

from torch_geometric.data import HeteroData

from graphmeta.experiments.named_learners import build_learner
from graphmeta.experiments.settings import ColdStartSettings
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
    learner = build_learner(
        settings.learner if is_meta else "fine-tuning",
        settings.encoder,
        train,
        channels=settings.channels,
        inner_steps=settings.inner_steps if is_meta else 0,
        seed=seed,
    )
    return ColdStartRecommender(
        learner,
        channels=settings.channels,
        num_neighbors=(settings.users_per_item, settings.items_per_user),
        epochs=settings.trained_epochs,
        min_steps=settings.steps_per_epoch,
        patience=settings.patience,
        batch_size=settings.batch_size,
        lr=settings.lr,
        k_max=settings.k_max or 10,
        adapted_share=settings.adapted_share,
        device=settings.device,
        seed=seed,
    )
