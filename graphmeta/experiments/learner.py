"""The recommender of the run, as the settings describe it."""

from __future__ import annotations

from torch_geometric.data import HeteroData

from graphmeta.experiments.settings import ColdStartSettings
from graphmeta.meta import relation_learner
from graphmeta.ranking import ColdStartRecommender


def build_recommender(
    settings: ColdStartSettings, train: HeteroData, *, seed: int
) -> ColdStartRecommender:
    """Return an untrained recommender whose weights start from `seed`.

    Raises:
        ConfigError: A setting does not fit the encoder.
    """
    learner = relation_learner(
        train.metadata(), channels=settings.channels, inner_steps=settings.inner_steps, seed=seed
    )
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
